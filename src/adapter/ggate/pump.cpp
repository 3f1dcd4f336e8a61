#include "hast/adapter/ggate/pump.hpp"

#include <cerrno>
#include <cstring>

#include "hast/adapter/split.hpp"
#include "hast/base/units.hpp"

namespace hast::adapter::ggate {

namespace {

IoKind kind_of(GateCommand command) {
  switch (command) {
    case GateCommand::write:
      return IoKind::write;
    case GateCommand::remove:
      return IoKind::discard;
    case GateCommand::flush:
      return IoKind::flush;
    default:
      return IoKind::read;
  }
}

}  // namespace

Pump::Pump(port::RequestSink& sink, Owner& owner)
    : sink_(sink),
      owner_(owner),
      slots_(sink, [this] { owner_.progress_due(); }),
      volume_(sink.volume()) {}

Pump::~Pump() { HAST_ASSERT(is_idle()); }

/// Nothing the kernel, or whoever sits behind its device, may ask is taken on trust (INV-9).
int Pump::prepare(Exchange& exchange) const {
  const GateRequest& request = exchange.request;
  exchange.kind = kind_of(request.command);
  exchange.next = exchange.end = 0;
  exchange.flush_due = request.command == GateCommand::flush;
  exchange.in_sink = 0;
  exchange.error = 0;
  exchange.abandoned = false;
  if (request.command == GateCommand::other) return EOPNOTSUPP;
  if (request.command == GateCommand::flush) return 0;
  if (!range_within(request.offset_bytes, request.length_bytes, volume_.size_bytes) ||
      request.offset_bytes % volume_.sector_bytes != 0 ||
      request.length_bytes % volume_.sector_bytes != 0)
    return EINVAL;
  if (request.command != GateCommand::remove && request.length_bytes > exchange.capacity)
    return ENOMEM;
  exchange.next = request.offset_bytes;
  exchange.end = request.offset_bytes + request.length_bytes;
  return 0;
}

void Pump::begin(Exchange& exchange) {
  exchange.pump = this;
  exchange.error = prepare(exchange);
  exchange.abandoned = stopped_;
  if (stopped_ || exchange.error != 0 || !exchange.has_pending()) {
    exchange.end_submission();
    owner_.concluded(exchange);
    return;
  }
  pending_.push_back(exchange);
  progress();
}

/// In the order they came: none overtakes one that wants a slot and may have one.
void Pump::progress() {
  for (auto next = pending_.begin(); next != pending_.end();) {
    Exchange& exchange = *next;
    ++next;
    if (!advance(exchange)) return;
    if (!exchange.has_pending()) pending_.erase(exchange);
  }
  slots_.rest();
}

/// False: there is no slot for it.
bool Pump::advance(Exchange& exchange) {
  while (exchange.has_pending() && exchange.in_sink < kWindow) {
    port::IoRequest* slot = slots_.take();
    if (slot == nullptr) return false;
    submit_piece(exchange, *slot);
  }
  return true;
}

void Pump::submit_piece(Exchange& exchange, port::IoRequest& slot) {
  slot.kind = exchange.kind;
  slot.fua = false;  // the gate passes no such flag on
  slot.offset_bytes = exchange.next;
  slot.length_bytes = exchange.kind == IoKind::flush
                          ? 0
                          : piece_bytes(exchange.kind, exchange.next, exchange.end - exchange.next);
  slot.error = 0;
  slot.owner = &exchange;
  slot.completed = &Pump::completed;
  if (exchange.kind == IoKind::write)
    std::memcpy(slot.buffer,
                exchange.memory.get() + (slot.offset_bytes - exchange.request.offset_bytes),
                slot.length_bytes);
  exchange.next += slot.length_bytes;
  exchange.flush_due = false;
  ++exchange.in_sink;
  ++in_sink_;
  sink_.submit(slot);
}

// Called by the sink ------------------------------------------------------------------------------

void Pump::completed(port::IoRequest& slot) {
  Exchange& exchange = *static_cast<Exchange*>(slot.owner);
  exchange.pump->piece_done(exchange, slot);
}

void Pump::piece_done(Exchange& exchange, port::IoRequest& slot) {
  if (slot.error == 0 && slot.kind == IoKind::read)
    std::memcpy(exchange.memory.get() + (slot.offset_bytes - exchange.request.offset_bytes),
                slot.buffer, slot.length_bytes);
  if (slot.error != 0 && exchange.error == 0) exchange.error = slot.error;
  sink_.release(slot);
  --in_sink_;
  --exchange.in_sink;
  // The rest of a failed request is not worth a slot.
  if (exchange.error != 0) exchange.end_submission();
  if (!exchange.has_pending()) {
    if (exchange.is_linked()) pending_.erase(exchange);
    if (exchange.in_sink == 0) owner_.concluded(exchange);
  }
  if (!pending_.empty() && !slots_.is_waiting()) owner_.progress_due();
}

void Pump::stop() {
  stopped_ = true;
  slots_.stop();
  while (Exchange* exchange = pending_.pop_front()) {
    exchange->abandoned = true;
    exchange->end_submission();
    if (exchange->in_sink == 0) owner_.concluded(*exchange);
  }
}

}  // namespace hast::adapter::ggate
