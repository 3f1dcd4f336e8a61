// Calls that may wait for what this process itself has to do: on FreeBSD, whatever changes who may
// write to a device, or removes one, returns only after the kernel has looked at all new devices,
// those among them that hastd serves. So they are made on a thread of their own, and the loop goes
// on serving.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <functional>

namespace hast::adapter {

/// `work` on a thread of its own, then `done` on the executor, never from inside this call. Called
/// on the executor; the context outlives both.
void aside(const boost::asio::any_io_executor& executor, std::function<void()> work,
           std::function<void()> done);

}  // namespace hast::adapter
