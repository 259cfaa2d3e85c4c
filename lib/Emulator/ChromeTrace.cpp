//===- ChromeTrace.cpp - events for a trace viewer --------------------------===//

#include "wafer/Emulator/ChromeTrace.h"

#include <cmath>
#include <cstdio>

namespace wafer {

namespace {

/// A name from a file inside a JSON string.
std::string escaped(const std::string &name) {
  std::string text;
  for (char c : name) {
    if (c == '"' || c == '\\')
      text += '\\';
    text += static_cast<unsigned char>(c) < 0x20 ? '?' : c;
  }
  return text;
}

std::string number(double value) {
  char text[32];
  std::snprintf(text, sizeof(text), value == std::floor(value) ? "%.0f" : "%.3f", value);
  return text;
}

std::string place(ChromeTrace::Lane lane) { return "\"pid\":" + std::to_string(lane.process) + ",\"tid\":" + std::to_string(lane.thread); }

} // namespace

void ChromeTrace::append(const std::string &name, const char *kind, const std::string &rest) {
  events_ += (events_.empty() ? "" : ",\n") + ("{\"name\":\"" + escaped(name) + "\",\"ph\":\"" + kind + "\"," + rest + "}");
}

void ChromeTrace::nameProcess(uint32_t process, const std::string &name) {
  append("process_name", "M", "\"pid\":" + std::to_string(process) + ",\"args\":{\"name\":\"" + escaped(name) + "\"}");
}

void ChromeTrace::nameLane(Lane lane, const std::string &name) { append("thread_name", "M", place(lane) + ",\"args\":{\"name\":\"" + escaped(name) + "\"}"); }

void ChromeTrace::span(Lane lane, const std::string &name, double begin, double length, const Numbers &numbers) {
  std::string beside;
  for (const auto &[what, value] : numbers)
    beside += (beside.empty() ? ",\"args\":{\"" : ",\"") + escaped(what) + "\":" + number(value);
  append(name, "X", place(lane) + ",\"ts\":" + number(begin) + ",\"dur\":" + number(length) + beside + (beside.empty() ? "" : "}"));
}

void ChromeTrace::instant(Lane lane, const std::string &name, double at, bool ofAll) {
  append(name, "i", std::string("\"s\":\"") + (ofAll ? "g" : "t") + "\"," + place(lane) + ",\"ts\":" + number(at));
}

std::string ChromeTrace::text() const { return "{\"displayTimeUnit\":\"ns\",\"traceEvents\":[\n" + events_ + "\n]}\n"; }

} // namespace wafer
