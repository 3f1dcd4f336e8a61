// A client's way in without a client's protocol: tests and workloads ask here, through the same
// RequestSink a real front-end uses. Requests wait for a slot in the order they came. A client
// whose daemon dies or whose volume is withdrawn never hears of its unfinished requests again:
// their outcome is unknown, and `done` is called with kUnknown. As a kernel's device does, it may
// read from the component past the sink; what fails there is asked of the sink.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <vector>

#include "disk.hpp"
#include "hast/port/frontend.hpp"
#include "hast/port/net.hpp"
#include "trace.hpp"

namespace hast::sim {

/// No answer will come.
inline constexpr int kUnknown = -1;

struct ClientRequest {
  IoKind kind = IoKind::read;
  std::uint64_t offset_bytes = 0;
  std::uint64_t length_bytes = 0;
  bool fua = false;
  std::vector<std::byte> data;  // of a write
  /// errno or kUnknown; the bytes of a successful read.
  std::function<void(int error, ConstByteSpan data)> done;
};

/// How requests reach the sink: each by itself, or those of one moment together, as those that one
/// read of a socket brings.
enum class Intake { single, batched };

class SimFrontend final : public port::Frontend, private port::SlotWaiter {
 public:
  SimFrontend(port::Executor executor, Trace& trace, std::string host, Intake intake,
              Drive* readable);
  ~SimFrontend() override;

  // What a client sees.
  bool serving() const { return sink_ != nullptr && !dead_; }
  const std::string& reason() const { return reason_; }
  port::VolumeInfo volume() const { return sink_->volume(); }
  /// Serving only.
  void request(ClientRequest request);
  std::size_t unanswered() const { return waiting_.size() + with_sink_.size(); }

  /// As a device does that somebody else has: it cannot serve, from now on or no longer so.
  void set_taken(bool taken) { taken_ = taken; }
  /// As a device does that somebody has to read first: clients find it when open() is called.
  void hide() { hidden_ = true; }
  void open() {
    hidden_ = false;
    if (opened_) std::exchange(opened_, nullptr)();
  }
  /// As if a former server had left something that holds up whoever opens a disk, until clear().
  void obstruct() { obstructed_ = true; }
  void clear() {
    obstructed_ = false;
    if (prepared_) std::exchange(prepared_, nullptr)();
  }
  /// By what serves the clients, past the sink.
  std::size_t direct_reads() const { return direct_reads_; }
  /// The process died: whoever waits learns that no answer will come.
  void kill();

  // port::Frontend
  Result<void> start() override;
  Result<void> serve(port::RequestSink& sink) override;
  void when_open(std::function<void()> done) override {
    if (!hidden_) return done();
    opened_ = std::move(done);
  }
  void prepare(std::function<void()> done) override {
    if (!obstructed_) return done();
    prepared_ = std::move(done);
  }
  void read_from(const std::optional<port::LocalCopy>& copy) override { copy_ = copy; }
  void withdraw(std::string reason, std::function<void()> done) override;
  void stop(std::function<void()> done) override;
  std::string location() const override { return "sim://" + host_; }

 private:
  struct Taken {
    SimFrontend* frontend = nullptr;
    port::IoRequest* slot = nullptr;
    ClientRequest request;
  };

  bool read_directly(ClientRequest& request);
  void pump();
  void pump_batch();
  void submit(port::IoRequest& slot, ClientRequest request);
  void finished(Taken& taken);
  void abandon_waiting();
  void slot_freed() override;
  void post(std::function<void()> action);

  port::Executor executor_;
  Trace& trace_;
  std::string host_;
  Intake intake_;
  port::RequestSink* sink_ = nullptr;
  port::RequestSink* leaving_ = nullptr;  // withdrawn, with requests still on their way
  std::string reason_ = "not started";
  std::deque<ClientRequest> waiting_;
  std::vector<std::unique_ptr<Taken>> with_sink_;
  std::function<void()> withdrawn_;
  Drive* readable_;  // by what serves the clients, past the sink; nullptr: none is
  std::optional<port::LocalCopy> copy_;
  std::size_t direct_reads_ = 0;
  std::function<void()> prepared_;
  bool obstructed_ = false;
  bool started_ = false;
  bool taken_ = false;
  bool hidden_ = false;
  std::function<void()> opened_;
  bool dead_ = false;
  bool batch_is_due_ = false;
};

}  // namespace hast::sim
