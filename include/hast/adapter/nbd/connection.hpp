// One client: its socket, and the coroutines that wait for it. They negotiate, then one receives
// and one sends; what the bytes mean is decided by Negotiation and Transmission. Owned by the
// export, which destroys it when ended() was called; everything on the export's executor.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <cstdint>
#include <exception>
#include <optional>
#include <string>
#include <string_view>

#include "hast/adapter/busy_poll.hpp"
#include "hast/adapter/nbd/negotiation.hpp"
#include "hast/adapter/nbd/transmission.hpp"
#include "hast/base/log.hpp"
#include "hast/port/frontend.hpp"
#include "hast/port/wakeup.hpp"

namespace hast::adapter::nbd {

namespace asio = boost::asio;

struct ConnectionLimits {
  /// A client that sends no whole option for so long is dropped.
  std::chrono::milliseconds handshake_timeout{10'000};
  /// How long the last replies may take to leave when a connection ends.
  std::chrono::milliseconds drain_timeout{2'000};
  /// How long depart() waits for a moment without requests.
  std::chrono::milliseconds depart_timeout{500};
  /// The client repeats on another connection what was not answered on one that is lost. Then
  /// nothing that arrived on a lost one may be executed: it could overwrite what came after it.
  bool client_repeats = false;
  TransmissionLimits transmission;
};

class Connection final : private Transmission::Owner {
 public:
  using Socket = asio::generic::stream_protocol::socket;

  /// What a connection sees of the export. `serial` tells one serve() from the next.
  struct Service {
    Offer offer;
    port::RequestSink* sink = nullptr;
    std::uint64_t serial = 0;
  };

  class Owner {
   public:
    virtual Service service() const = 0;
    virtual const ConnectionLimits& connection_limits() const = 0;
    /// One line about one client; may drop lines when there are too many of them.
    virtual void report(LogLevel level, const Connection& connection, std::string_view text) = 0;
    /// Nothing of the connection runs any more: destroy it.
    virtual void ended(Connection& connection) = 0;

   protected:
    ~Owner() = default;
  };

  Connection(Socket socket, std::string name, Owner& owner);
  ~Connection();

  void start();
  /// Without negotiation: the client knows the volume of `service`, and simple replies are agreed.
  void start_transmission(Service service);
  /// Ends a transmission in an orderly way: what the sink has is answered. A negotiation goes on.
  void withdraw();
  /// Ends a transmission with a client that repeats: at the first moment without requests, or at
  /// the time limit with what the sink has done by then.
  void depart();
  /// Ends everything at once; slots come back as the sink completes them.
  void close();

  bool is_transmitting() const { return transmission_.has_value(); }
  /// It ended because an answer could not be finished; the client knows nothing of the reason.
  bool is_broken() const { return transmission_ && broken_; }
  const std::string& name() const { return name_; }  // "client 3 (tcp://127.0.0.1:51234)"

 private:
  // Coroutines.
  asio::awaitable<void> run();
  asio::awaitable<void> run_agreed();
  asio::awaitable<bool> negotiate();
  asio::awaitable<bool> haggle(Negotiation& negotiation);
  asio::awaitable<bool> receive(ByteSpan into);
  asio::awaitable<bool> skip(std::uint64_t bytes);
  asio::awaitable<bool> send(ConstByteSpan from);
  asio::awaitable<void> transmit(ReplyStyle style);
  asio::awaitable<void> write_loop();

  // Transmission::Owner
  void work_ready() override { work_.notify(); }
  void output_complete() override;
  void input_ready() override;
  void quiet() override { quiet_.notify(); }
  void failed(std::string_view why) override;

  enum class Sent : std::uint8_t { all, blocked, failed };
  Sent send_output();
  void take_in(std::size_t bytes);
  bool follow(const Negotiation::Answer& answer);
  bool is_given_up();
  void progress();
  void leave_when_idle();
  void stop_receiving();
  void spawn(asio::awaitable<void> task);
  void task_ended();
  void set_deadline(std::chrono::milliseconds timeout, std::string_view complaint);
  void close_socket();

  Socket socket_;
  Arrivals arrivals_;
  const std::string name_;
  Owner& owner_;
  std::size_t tasks_ = 0;  // coroutines and timer waits that refer to this
  asio::steady_timer deadline_;
  port::Wakeup work_;   // the writer waits for it,
  port::Wakeup input_;  // the receiver for these two
  port::Wakeup quiet_;
  std::uint64_t serial_ = 0;
  port::RequestSink* sink_ = nullptr;
  std::optional<Transmission> transmission_;
  bool departing_ = false;
  bool broken_ = false;
  bool closing_ = false;
};

}  // namespace hast::adapter::nbd
