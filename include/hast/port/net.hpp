// Streams between nodes. Every wait returns a Result and ends when its object is closed or
// cancelled by the owner (Errc::cancelled), so an owner stops a coroutine by closing what it waits
// for and then joining it. One reader and one writer a stream. All on the executor given at birth.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/buffer.hpp>
#include <chrono>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "hast/base/address.hpp"
#include "hast/base/bytes.hpp"
#include "hast/base/result.hpp"

namespace hast::port {

namespace asio = boost::asio;
template <class T>
using Awaitable = asio::awaitable<T>;
using Executor = asio::any_io_executor;

class Stream {
 public:
  virtual ~Stream() = default;
  /// At least one byte; connection_closed at the end of the stream.
  virtual Awaitable<Result<std::size_t>> read_some(ByteSpan into) = 0;
  /// The same, and what arrived beyond `into` may go to `surplus`.
  virtual Awaitable<Result<std::size_t>> read_into(ByteSpan into, ByteSpan surplus) {
    (void)surplus;
    return read_some(into);
  }
  /// The same of what is there without waiting; 0 when nothing is, or when there is something else
  /// to be told: then read_into().
  virtual std::size_t try_read(ByteSpan into, ByteSpan surplus) {
    (void)into;
    (void)surplus;
    return 0;
  }
  /// Gathers; may send less than everything.
  virtual Awaitable<Result<std::size_t>> write_some(std::span<const asio::const_buffer> from) = 0;
  /// What can be sent without waiting; 0 when nothing can: then write_some().
  virtual Result<std::size_t> try_write(std::span<const asio::const_buffer> from) {
    (void)from;
    return std::size_t{0};
  }
  /// Ends both directions at once; waits in progress return Errc::cancelled.
  virtual void close() = 0;
  virtual std::string local() const = 0;  // "tcp://1.2.3.4:8457"
  virtual std::string peer() const = 0;
  /// Host part of peer(): what is compared with the configured peer ("1.2.3.4"; "" for UNIX).
  virtual std::string peer_host() const = 0;
};

class Listener {
 public:
  virtual ~Listener() = default;
  virtual Awaitable<Result<std::unique_ptr<Stream>>> accept() = 0;
  virtual void close() = 0;
  virtual std::string local() const = 0;
};

/// One attempt at a time; cancel() ends it.
class Dialer {
 public:
  virtual ~Dialer() = default;
  virtual Awaitable<Result<std::unique_ptr<Stream>>> dial(Address to, std::optional<Address> source,
                                                          std::chrono::milliseconds timeout) = 0;
  /// Numeric addresses of a host, the first result of the resolver (wire-protocol §9).
  virtual Awaitable<Result<std::string>> resolve(Address address) = 0;
  virtual void cancel() = 0;
};

class Net {
 public:
  virtual ~Net() = default;
  virtual std::unique_ptr<Dialer> make_dialer(Executor executor) = 0;
  /// Accepted streams run on `executor`. Errors: address_invalid, address_in_use, io_failed.
  virtual Result<std::unique_ptr<Listener>> listen(const Address& address, Executor executor) = 0;
};

}  // namespace hast::port
