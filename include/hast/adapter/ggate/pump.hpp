// The pump: cuts the kernel's requests into pieces, each in a slot of the sink, and puts the
// answers together. Plain synchronous methods on the executor of the resource; knows no device, no
// thread, no clock. When the sink has no slot, requests wait here in their order. Owned by the
// front-end, for one serve(); destroyed when is_idle().
#pragma once

#include "hast/adapter/ggate/exchange.hpp"
#include "hast/adapter/slot_supply.hpp"

namespace hast::adapter::ggate {

class Pump final {
 public:
  /// Told from inside the sink's callbacks too.
  class Owner {
   public:
    /// exchange.error and exchange.abandoned say how; the pump has let go of it.
    virtual void concluded(Exchange& exchange) = 0;
    virtual void progress_due() = 0;  // call progress(), not from here

   protected:
    ~Owner() = default;
  };

  Pump(port::RequestSink& sink, Owner& owner);
  ~Pump();

  /// Not from sink callbacks: these submit.
  void begin(Exchange& exchange);
  void progress();

  /// Nothing more is submitted. What the sink has is waited for; the rest is abandoned.
  void stop();
  bool is_idle() const { return in_sink_ == 0 && pending_.empty(); }

  /// The volume is another size now.
  void set_volume(const port::VolumeInfo& volume) { volume_ = volume; }

 private:
  /// How many slots one request may hold: a delete of the whole device must not take them all.
  static constexpr std::size_t kWindow = 16;

  int prepare(Exchange& exchange) const;
  bool advance(Exchange& exchange);
  void submit_piece(Exchange& exchange, port::IoRequest& slot);
  static void completed(port::IoRequest& slot);
  void piece_done(Exchange& exchange, port::IoRequest& slot);

  port::RequestSink& sink_;
  Owner& owner_;
  SlotSupply slots_;
  port::VolumeInfo volume_;
  ExchangeList pending_;  // not submitted entirely, in the order they came
  std::size_t in_sink_ = 0;
  bool stopped_ = false;
};

}  // namespace hast::adapter::ggate
