#include "frontend.hpp"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <cstring>

#include "hast/base/units.hpp"

namespace hast::sim {

SimFrontend::SimFrontend(port::Executor executor, Trace& trace, std::string host, Intake intake,
                         Drive* readable)
    : executor_(std::move(executor)),
      trace_(trace),
      host_(std::move(host)),
      intake_(intake),
      readable_(readable) {}

SimFrontend::~SimFrontend() { HAST_ASSERT(!sink_ && waiting_.empty() && with_sink_.empty()); }

void SimFrontend::post(std::function<void()> action) {
  boost::asio::post(executor_, std::move(action));
}

Result<void> SimFrontend::start() {
  started_ = true;
  reason_ = "the role is init";
  return {};
}

Result<void> SimFrontend::serve(port::RequestSink& sink) {
  HAST_ASSERT(started_ && !sink_ && !leaving_);
  if (taken_) return Errc::io_failed;
  sink_ = &sink;
  copy_.reset();
  return {};
}

/// The bytes are those of this moment, the answer comes later.
bool SimFrontend::read_directly(ClientRequest& request) {
  if (request.kind != IoKind::read || readable_ == nullptr || !copy_) return false;
  if (!range_within(request.offset_bytes, request.length_bytes, volume().size_bytes)) return false;
  const std::uint64_t offset_bytes = copy_->offset_bytes + request.offset_bytes;
  if (!readable_->is_readable(offset_bytes, request.length_bytes)) return false;
  const ConstByteSpan bytes = readable_->media.newest(offset_bytes, request.length_bytes);
  ++direct_reads_;
  trace_.note("read directly", host_, request.offset_bytes, request.length_bytes);
  post([done = std::move(request.done), data = std::vector(bytes.begin(), bytes.end())] {
    if (done) done(0, data);
  });
  return true;
}

void SimFrontend::request(ClientRequest request) {
  HAST_ASSERT(serving());
  if (read_directly(request)) return;
  waiting_.push_back(std::move(request));
  if (intake_ == Intake::single) return pump();
  if (!std::exchange(batch_is_due_, true)) post([this] { pump_batch(); });
}

void SimFrontend::pump_batch() {
  batch_is_due_ = false;
  if (!sink_) return;
  port::RequestSink& sink = *sink_;  // a withdrawn one stays until its slots are back
  sink.batch_begins();
  pump();
  sink.batch_ends();
}

void SimFrontend::pump() {
  while (sink_ && !waiting_.empty()) {
    port::IoRequest* slot = sink_->acquire();
    if (slot == nullptr) {
      if (!is_linked()) sink_->wait_for_slot(*this);
      return;
    }
    ClientRequest next = std::move(waiting_.front());
    waiting_.pop_front();
    submit(*slot, std::move(next));
  }
}

void SimFrontend::slot_freed() { pump(); }

void SimFrontend::submit(port::IoRequest& slot, ClientRequest request) {
  auto taken = std::make_unique<Taken>();
  taken->frontend = this;
  taken->slot = &slot;
  taken->request = std::move(request);
  const ClientRequest& asked = taken->request;
  slot.kind = asked.kind;
  slot.fua = asked.fua;
  slot.offset_bytes = asked.offset_bytes;
  slot.length_bytes = asked.length_bytes;
  // An oversized request is the sink's to refuse; its data would not fit the slot.
  if (asked.data.size() <= port::kBlockBytes)
    std::copy(asked.data.begin(), asked.data.end(), slot.buffer);
  slot.owner = taken.get();
  slot.completed = [](port::IoRequest& done) {
    Taken& mine = *static_cast<Taken*>(done.owner);
    mine.frontend->finished(mine);
  };
  with_sink_.push_back(std::move(taken));
  sink_->submit(slot);
}

void SimFrontend::finished(Taken& taken) {
  port::IoRequest& slot = *taken.slot;
  // A client that was dropped hears nothing, whatever became of its request.
  const bool heard = !dead_ && !leaving_;
  const int error = heard ? slot.error : kUnknown;
  if (heard) trace_.note("answer", host_, slot.offset_bytes, static_cast<std::uint64_t>(error));
  const auto done = std::move(taken.request.done);
  if (done && !dead_) {
    const bool has_data = error == 0 && slot.kind == IoKind::read;
    done(error, has_data ? ConstByteSpan(slot.buffer, slot.length_bytes) : ConstByteSpan{});
  }
  port::RequestSink* const sink = sink_ ? sink_ : leaving_;
  std::erase_if(with_sink_, [&taken](const auto& other) { return other.get() == &taken; });
  sink->release(slot);
  if (leaving_ && with_sink_.empty()) {
    leaving_ = nullptr;
    post(std::exchange(withdrawn_, nullptr));
  }
}

void SimFrontend::abandon_waiting() {
  const std::deque<ClientRequest> lost = std::move(waiting_);
  waiting_.clear();
  for (const ClientRequest& request : lost) {
    if (request.done) request.done(kUnknown, {});
  }
}

void SimFrontend::withdraw(std::string reason, std::function<void()> done) {
  reason_ = std::move(reason);
  if (sink_) sink_->cancel_wait(*this);
  leaving_ = std::exchange(sink_, nullptr);
  abandon_waiting();
  if (!with_sink_.empty()) {
    withdrawn_ = std::move(done);
    return;
  }
  leaving_ = nullptr;
  post(std::move(done));
}

void SimFrontend::stop(std::function<void()> done) {
  HAST_ASSERT(!sink_ && !leaving_);
  started_ = false;
  post(std::move(done));
}

void SimFrontend::kill() {
  dead_ = true;
  clear();
  if (sink_) sink_->cancel_wait(*this);
  abandon_waiting();
  for (const std::unique_ptr<Taken>& taken : with_sink_) {
    const auto done = std::exchange(taken->request.done, nullptr);
    if (done) done(kUnknown, {});
  }
}

}  // namespace hast::sim
