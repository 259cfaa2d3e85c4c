//===- TaskTrace.cpp - a Chrome trace of tasks -------------------------------===//

#include "TaskTrace.h"

namespace wafer {

std::string TaskTrace::taskName(unsigned image, uint16_t entry) const {
  for (const auto &task : program_.program().images[image]->tasks)
    if (task->pc == entry && !task->name.empty())
      return task->name;
  return "task at pc " + std::to_string(entry);
}

void TaskTrace::emit(ChromeTrace &trace, Core core, const Span &span, size_t &spans) const {
  if (spans == maxSpans)
    trace.instant({core.first, core.second}, "trace ends here: too many tasks", static_cast<double>(span.first), /*ofAll=*/true);
  if (spans++ < maxSpans)
    trace.span({core.first, core.second}, taskName(span.image, span.entry), static_cast<double>(span.first), static_cast<double>(span.end - span.first));
}

void TaskTrace::note(uint64_t first, uint64_t last, uint16_t x, uint16_t y, unsigned image, uint16_t entry, uint64_t serial) {
  const Core core = {y, x};
  const Span fresh = {first, last + 1, serial, image, entry};
  auto [at, isNew] = open_.try_emplace(core, fresh);
  if (isNew) {
    trace_.nameLane({y, x}, "core (" + std::to_string(x) + ", " + std::to_string(y) + ")");
    return;
  }
  Span &span = at->second;
  if (span.end == first && span.serial == serial && span.entry == entry) {
    span.end = last + 1;
    return;
  }
  emit(trace_, core, span, spans_);
  span = fresh;
}

void TaskTrace::write() const {
  if (!wanted())
    return;
  // What is at work may go on in the next run, so the spans stay open.
  ChromeTrace whole = trace_;
  size_t spans = spans_;
  for (const auto &[core, span] : open_)
    emit(whole, core, span, spans);
  const std::string text = whole.text();
  writeFileAtomically(file_, text.data(), text.size());
}

} // namespace wafer
