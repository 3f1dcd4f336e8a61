// A client of a RequestSink that remembers every answer. Slots go back as soon as the answer is
// there unless keep_slots() was called. Numbers name requests in the order of submission.
#pragma once

#include <algorithm>
#include <cstring>
#include <deque>
#include <vector>

#include "hast/base/assert.hpp"
#include "hast/base/bytes.hpp"
#include "hast/port/frontend.hpp"

namespace hast::test {

class CoreClient {
 public:
  using Id = std::size_t;

  explicit CoreClient(port::RequestSink& sink) : sink_(sink) {}
  CoreClient(const CoreClient&) = delete;
  CoreClient& operator=(const CoreClient&) = delete;

  // Submitting; a slot must be free.
  Id write(std::uint64_t offset, ConstByteSpan bytes) {
    return submit(IoKind::write, offset, bytes.size(), bytes);
  }
  Id write(std::uint64_t offset, std::uint64_t length, unsigned fill) {
    return write(offset, std::vector<std::byte>(length, static_cast<std::byte>(fill)));
  }
  Id write_fua(std::uint64_t offset, std::uint64_t length, unsigned fill) {
    fua_ = true;
    return write(offset, length, fill);
  }
  /// Of the next request.
  void set_fua(bool fua) { fua_ = fua; }
  Id read(std::uint64_t offset, std::uint64_t length) {
    return submit(IoKind::read, offset, length);
  }
  Id discard(std::uint64_t offset, std::uint64_t length) {
    return submit(IoKind::discard, offset, length);
  }
  Id write_zeroes(std::uint64_t offset, std::uint64_t length) {
    return submit(IoKind::write_zeroes, offset, length);
  }
  Id flush() { return submit(IoKind::flush, 0, 0); }
  Id submit(IoKind kind, std::uint64_t offset, std::uint64_t length, ConstByteSpan bytes = {}) {
    port::IoRequest* request = sink_.acquire();
    HAST_ASSERT(request != nullptr);
    request->kind = kind;
    request->fua = std::exchange(fua_, false);
    request->offset_bytes = offset;
    request->length_bytes = length;
    if (!bytes.empty()) std::memcpy(request->buffer, bytes.data(), bytes.size());
    asked_.push_back({this, request, kind, offset, length, false, 0, {}});
    request->owner = &asked_.back();
    request->completed = [](port::IoRequest& done) {
      Asked& asked = *static_cast<Asked*>(done.owner);
      asked.client->answered(asked);
    };
    submitting_ = true;
    sink_.submit(*request);
    submitting_ = false;
    return asked_.size() - 1;
  }

  // Answers.
  std::size_t asked() const { return asked_.size(); }
  std::size_t unanswered() const {
    return static_cast<std::size_t>(
        std::count_if(asked_.begin(), asked_.end(), [](const Asked& a) { return !a.done; }));
  }
  bool done(Id id) const { return asked_.at(id).done; }
  /// Answered, and with success.
  bool ok(Id id) const { return asked_.at(id).done && asked_.at(id).error == 0; }
  int error(Id id) const { return asked_.at(id).error; }
  IoKind kind(Id id) const { return asked_.at(id).kind; }
  const std::vector<std::byte>& data(Id id) const { return asked_.at(id).data; }
  /// True if a read was answered and every byte of it is `fill`.
  bool holds(Id id, unsigned fill) const {
    const std::vector<std::byte>& bytes = asked_.at(id).data;
    return ok(id) && !bytes.empty() && std::all_of(bytes.begin(), bytes.end(), [fill](std::byte b) {
             return b == static_cast<std::byte>(fill);
           });
  }
  const std::vector<Id>& order_of_answers() const { return order_; }

  // Slots.
  void keep_slots() { keep_slots_ = true; }
  void release(Id id) {
    port::IoRequest* request = std::exchange(asked_.at(id).request, nullptr);
    HAST_ASSERT(request != nullptr);
    sink_.release(*request);
  }
  void release_all() {
    keep_slots_ = false;
    for (Id id = 0; id < asked_.size(); ++id) {
      if (asked_[id].request != nullptr && asked_[id].done) release(id);
    }
  }

 private:
  struct Asked {
    CoreClient* client = nullptr;
    port::IoRequest* request = nullptr;
    IoKind kind{};
    std::uint64_t offset = 0;
    std::uint64_t length = 0;
    bool done = false;
    int error = 0;
    std::vector<std::byte> data;  // of a successful read
  };

  void answered(Asked& asked) {
    HAST_ASSERT(!submitting_);  // never from inside submit()
    HAST_ASSERT(!asked.done);   // exactly once
    asked.done = true;
    asked.error = asked.request->error;
    if (asked.kind == IoKind::read && asked.error == 0)
      asked.data.assign(asked.request->buffer, asked.request->buffer + asked.length);
    const auto same = [&](const Asked& other) { return &other == &asked; };
    const Id id =
        static_cast<Id>(std::find_if(asked_.begin(), asked_.end(), same) - asked_.begin());
    order_.push_back(id);
    if (!keep_slots_) release(id);
  }

  port::RequestSink& sink_;
  std::deque<Asked> asked_;  // a deque: requests point at their entry
  std::vector<Id> order_;
  bool keep_slots_ = false;
  bool fua_ = false;
  bool submitting_ = false;
};

}  // namespace hast::test
