// A Transmission between two strings and a RamSink: what the client sent, what it received. Stands
// for the connection's coroutines, in steps of any size.
#pragma once

#include <algorithm>
#include <cstring>
#include <string>
#include <string_view>

#include "hast/adapter/nbd/transmission.hpp"
#include "ram_sink.hpp"

namespace hast::test {

class TransmissionRig final : private adapter::nbd::Transmission::Owner {
 public:
  TransmissionRig(RamSink& sink, adapter::nbd::ReplyStyle style,
                  const adapter::nbd::TransmissionLimits& limits = {})
      : transmission(sink, style, limits, *this) {}
  ~TransmissionRig() = default;

  void send(std::string_view bytes) { inbox_.append(bytes); }
  std::string take_replies() { return std::exchange(replies_, {}); }
  std::size_t unread() const { return inbox_.size() - read_; }
  std::size_t undelivered() const { return replies_.size(); }

  /// One turn of everything the connection would do by itself; false if there was nothing.
  bool step() {
    const bool received = receive();
    return write() || received;
  }

  void end_input() { transmission.finish(); }
  /// Ends everything; the sink is turned by the caller until is_quiet().
  void end() {
    transmission.abort();
    transmission.finish();
  }

  adapter::nbd::Transmission transmission;
  std::size_t receive_step = ~std::size_t{0};
  std::size_t send_step = ~std::size_t{0};
  bool stalled = false;  // the client does not read
  bool was_quiet = false;
  std::string failure;

 private:
  void work_ready() override { work_ = true; }
  void output_complete() override { work_ = true; }
  void input_ready() override {}
  void quiet() override { was_quiet = true; }
  void failed(std::string_view why) override { failure = why; }

  bool receive() {
    std::size_t bytes = 0;
    for (const iovec& vector : transmission.receive_space()) {
      const std::size_t part = std::min({vector.iov_len, unread() - bytes, receive_step - bytes});
      std::memcpy(vector.iov_base, inbox_.data() + read_ + bytes, part);
      bytes += part;
      if (part < vector.iov_len) break;
    }
    if (bytes == 0) return false;
    read_ += bytes;
    transmission.received(bytes);
    return true;
  }

  /// The writer: sleeps until it is told of work, then goes on until nothing is left to send.
  bool write() {
    const bool woken = std::exchange(work_, false);
    if (woken) transmission.progress();
    awake_ = (awake_ || woken) && transmission.has_output();
    if (!awake_ || stalled) return woken;
    std::size_t bytes = 0;
    for (const iovec& vector : transmission.output()) {
      const std::size_t part = std::min(vector.iov_len, send_step - bytes);
      replies_.append(static_cast<const char*>(vector.iov_base), part);
      bytes += part;
      if (part < vector.iov_len) break;
    }
    transmission.sent(bytes);
    transmission.progress();
    return true;
  }

  std::string inbox_;
  std::size_t read_ = 0;  // of the inbox
  std::string replies_;
  bool work_ = false;
  bool awake_ = false;
};

}  // namespace hast::test
