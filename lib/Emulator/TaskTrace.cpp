//===- TaskTrace.cpp - a Chrome trace of tasks -------------------------------===//

#include "TaskTrace.h"

namespace wafer {

namespace {

/// A name from the file inside a JSON string.
std::string escaped(const std::string &name) {
  std::string text;
  for (char c : name) {
    if (c == '"' || c == '\\')
      text += '\\';
    text += static_cast<unsigned char>(c) < 0x20 ? '?' : c;
  }
  return text;
}

std::string place(uint16_t y, uint16_t x) { return "\"pid\":" + std::to_string(y) + ",\"tid\":" + std::to_string(x); }

} // namespace

std::string TaskTrace::taskName(unsigned image, uint16_t entry) const {
  for (const auto &task : program_.program().images[image]->tasks)
    if (task->pc == entry && !task->name.empty())
      return escaped(task->name);
  return "task at pc " + std::to_string(entry);
}

void TaskTrace::append(const std::string &event) { events_ += (events_.empty() ? "" : ",\n") + event; }

void TaskTrace::emit(Core core, const Span &span) {
  if (spans_ == maxSpans)
    append(R"({"name":"trace ends here: too many tasks","ph":"i","s":"g",)" + place(core.first, core.second) +
           ",\"ts\":" + std::to_string(span.first) + "}");
  if (spans_++ >= maxSpans)
    return;
  append("{\"name\":\"" + taskName(span.image, span.entry) + "\",\"ph\":\"X\"," + place(core.first, core.second) +
         ",\"ts\":" + std::to_string(span.first) + ",\"dur\":" + std::to_string(span.end - span.first) + "}");
}

void TaskTrace::note(uint64_t first, uint64_t last, uint16_t x, uint16_t y, unsigned image, uint16_t entry, uint64_t serial) {
  const Core core = {y, x};
  const Span fresh = {first, last + 1, serial, image, entry};
  auto [at, isNew] = open_.try_emplace(core, fresh);
  if (isNew) {
    append(R"({"name":"thread_name","ph":"M",)" + place(y, x) + R"(,"args":{"name":"core ()" + std::to_string(x) + ", " +
           std::to_string(y) + ")\"}}");
    return;
  }
  Span &span = at->second;
  if (span.end == first && span.serial == serial && span.entry == entry) {
    span.end = last + 1;
    return;
  }
  emit(core, span);
  span = fresh;
}

void TaskTrace::write() {
  if (!wanted())
    return;
  // What is at work may go on in the next run, so the spans stay open.
  const size_t closedBytes = events_.size(), closedSpans = spans_;
  for (const auto &[core, span] : open_)
    emit(core, span);
  std::string text = "{\"displayTimeUnit\":\"ns\",\"traceEvents\":[\n" + events_ + "\n]}\n";
  events_.resize(closedBytes);
  spans_ = closedSpans;
  writeFileAtomically(file_, text.data(), text.size());
}

} // namespace wafer
