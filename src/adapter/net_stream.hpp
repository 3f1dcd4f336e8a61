// Private to the net adapter: a connected socket as port::Stream, and what the kernel's errors
// mean.
#pragma once

#include <boost/asio/basic_stream_socket.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/ip/address.hpp>

#include "hast/port/net.hpp"

namespace hast::adapter {

using Protocol = boost::asio::generic::stream_protocol;
using Socket = boost::asio::basic_stream_socket<Protocol, port::Executor>;

/// What `error` means on an established or wanted connection.
Error net_error(const boost::system::error_code& error, std::string detail);

/// As peers are compared: without the scope, which names an interface of this host only.
std::string host_text(boost::asio::ip::address address);

std::unique_ptr<port::Stream> make_stream(Socket socket);

}  // namespace hast::adapter
