// The port::Net of one simulated hastd: streams, listeners and dialers over the world's Network.
// They answer as the TCP adapter does. When the process dies, kill() ends every wait of every one
// of them at once; what they had open closes as a kernel closes it for a dead process, or, after a
// power loss, not at all.
#pragma once

#include <deque>
#include <optional>

#include "hast/port/net.hpp"
#include "hast/port/wakeup.hpp"
#include "network.hpp"

namespace hast::sim {

class ProcessNet;

class SimStream final : public port::Stream, public ListNode<SimStream> {
 public:
  SimStream(ProcessNet& net, std::shared_ptr<Connection> connection, int end,
            port::Executor executor);
  ~SimStream() override;

  port::Awaitable<Result<std::size_t>> read_some(ByteSpan into) override;
  port::Awaitable<Result<std::size_t>> read_into(ByteSpan into, ByteSpan surplus) override;
  port::Awaitable<Result<std::size_t>> write_some(
      std::span<const boost::asio::const_buffer> from) override;
  std::size_t try_read(ByteSpan into, ByteSpan surplus) override;
  Result<std::size_t> try_write(std::span<const boost::asio::const_buffer> from) override;
  void close() override;
  std::string local() const override { return connection_->point(end_).text(); }
  std::string peer() const override { return connection_->point(1 - end_).text(); }
  std::string peer_host() const override { return connection_->point(1 - end_).host; }

  void die();

 private:
  std::optional<Errc> ended() const;
  std::size_t read_now(ByteSpan into, ByteSpan surplus);

  ProcessNet& net_;
  std::shared_ptr<Connection> connection_;
  int end_;
  port::Executor executor_;
  port::Wakeup readable_;
  port::Wakeup writable_;
  bool closed_ = false;
};

class SimListener final : public port::Listener, private Door, public ListNode<SimListener> {
 public:
  SimListener(ProcessNet& net, EndPoint at, port::Executor executor);
  ~SimListener() override;

  port::Awaitable<Result<std::unique_ptr<port::Stream>>> accept() override;
  void close() override;
  std::string local() const override { return at_.text(); }

  bool opened() const { return opened_; }
  void die();

 private:
  void arrived(std::shared_ptr<Connection> connection) override;

  ProcessNet& net_;
  EndPoint at_;
  port::Executor executor_;
  std::deque<std::shared_ptr<Connection>> waiting_;
  port::Wakeup wakeup_;
  bool opened_ = false;
  bool closed_ = false;
};

class SimDialer final : public port::Dialer, public ListNode<SimDialer> {
 public:
  SimDialer(ProcessNet& net, port::Executor executor);
  ~SimDialer() override;

  port::Awaitable<Result<std::unique_ptr<port::Stream>>> dial(
      Address to, std::optional<Address> source, std::chrono::milliseconds timeout) override;
  port::Awaitable<Result<std::string>> resolve(Address address) override;
  void cancel() override;

 private:
  /// One attempt. Network may answer after the dialer has gone: it holds this, not the dialer.
  struct Attempt {
    SimDialer* dialer = nullptr;
    Network::Dialled outcome = Network::Dialled::unanswered;
    std::shared_ptr<Connection> connection;
    bool over = false;
    bool cancelled = false;
    VirtualClock::Key again;
    VirtualClock::Key deadline;
  };
  void knock(const std::shared_ptr<Attempt>& attempt, const EndPoint& to);
  void end(Attempt& attempt);

  ProcessNet& net_;
  port::Executor executor_;
  std::shared_ptr<Attempt> attempt_;
  port::Wakeup wakeup_;
};

class ProcessNet final : public port::Net {
 public:
  /// `names`: what resolvers know besides numbers.
  ProcessNet(Network& network, std::string host);
  ~ProcessNet() override;

  std::unique_ptr<port::Dialer> make_dialer(port::Executor executor) override;
  Result<std::unique_ptr<port::Listener>> listen(const Address& address,
                                                 port::Executor executor) override;

  Network& network() { return network_; }
  const std::string& host() const { return host_; }
  void kill();
  bool dead() const { return dead_; }
  std::size_t open_streams() const { return streams_.size(); }

 private:
  friend class SimStream;
  friend class SimListener;
  friend class SimDialer;

  Network& network_;
  std::string host_;
  IntrusiveList<SimStream, SimStream> streams_;
  IntrusiveList<SimListener, SimListener> listeners_;
  IntrusiveList<SimDialer, SimDialer> dialers_;
  bool dead_ = false;
};

}  // namespace hast::sim
