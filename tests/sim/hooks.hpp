// Records what operators' hooks would have been told, in order. A dead process runs none.
#pragma once

#include <string>
#include <vector>

#include "hast/port/hook.hpp"
#include "trace.hpp"

namespace hast::sim {

/// "PATH role shared init primary": argv in one line, as a test reads it best.
using HookLines = std::vector<std::string>;

class HookRecorder final : public port::HookRunner {
 public:
  HookRecorder(HookLines& lines, Trace& trace, std::string host)
      : lines_(lines), trace_(trace), host_(std::move(host)) {}

  void run(std::vector<std::string> argv) override {
    if (dead_) return;
    std::string line;
    for (const std::string& word : argv) line += (line.empty() ? "" : " ") + word;
    trace_.note(line, host_);
    lines_.push_back(std::move(line));
  }
  /// Always yes, at once.
  void ask(std::vector<std::string> argv, port::Duration,
           std::function<void(Verdict)> answer) override {
    run(std::move(argv));
    answer(Verdict::yes);
  }
  void kill() { dead_ = true; }

 private:
  HookLines& lines_;
  Trace& trace_;
  std::string host_;
  bool dead_ = false;
};

}  // namespace hast::sim
