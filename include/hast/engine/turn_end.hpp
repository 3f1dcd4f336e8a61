// The end of a turn of the loop, when what the turn gathered goes out together: frames in one send,
// disk operations in one submission. Whoever handles many events in a row opens a batch and closes
// it before it waits; outside of one, the first due() posts the end, which runs after the handlers
// that are ready now. So nothing is ever held back longer than a turn. On the resource's executor;
// owned by Resource, which outlives what is posted.
#pragma once

#include <functional>

#include "hast/port/net.hpp"

namespace hast::engine {

class TurnEnd {
 public:
  /// `action` runs at the end of turns in which something was due; `idle` after one that was
  /// posted.
  TurnEnd(port::Executor executor, std::function<void()> action, std::function<void()> idle);
  ~TurnEnd();

  void due();
  void open() { ++open_; }
  void close();
  bool is_posted() const { return posted_; }

 private:
  void run();
  void post();

  port::Executor executor_;
  std::function<void()> action_;
  std::function<void()> idle_;
  unsigned open_ = 0;
  bool due_ = false;
  bool posted_ = false;
};

}  // namespace hast::engine
