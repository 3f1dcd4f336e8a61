// Slots for a front-end that works on requests in the order they came: it takes one after the
// other, and where there is none is told when it is worth trying again. The slot that was waited
// for is kept until it is taken or not wanted. On the executor of the resource; stopped before it
// is destroyed.
#pragma once

#include <functional>
#include <utility>

#include "hast/base/assert.hpp"
#include "hast/port/frontend.hpp"

namespace hast::adapter {

class SlotSupply final : private port::SlotWaiter {
 public:
  /// `available` is called from inside the sink, which is not to be submitted to from there.
  SlotSupply(port::RequestSink& sink, std::function<void()> available)
      : sink_(sink), available_(std::move(available)) {}
  ~SlotSupply() { HAST_ASSERT(!waiting_ && reserved_ == nullptr); }
  SlotSupply(const SlotSupply&) = delete;
  SlotSupply& operator=(const SlotSupply&) = delete;

  /// nullptr: there is none, `available` follows.
  port::IoRequest* take() {
    if (waiting_) return nullptr;
    if (reserved_ != nullptr) return std::exchange(reserved_, nullptr);
    port::IoRequest* slot = sink_.acquire();
    if (slot == nullptr) {
      waiting_ = true;
      sink_.wait_for_slot(*this);
    }
    return slot;
  }
  bool is_waiting() const { return waiting_; }
  /// Nobody wants another one now.
  void rest() {
    if (reserved_ != nullptr) sink_.release(*std::exchange(reserved_, nullptr));
  }
  void stop() {
    if (std::exchange(waiting_, false)) sink_.cancel_wait(*this);
    rest();
  }

 private:
  void slot_freed() override {
    waiting_ = false;
    reserved_ = sink_.acquire();
    available_();
  }

  port::RequestSink& sink_;
  std::function<void()> available_;
  port::IoRequest* reserved_ = nullptr;
  bool waiting_ = false;
};

}  // namespace hast::adapter
