#include "hast/adapter/device_frontend.hpp"

#include <boost/asio/post.hpp>
#include <utility>

namespace hast::adapter {

namespace asio = boost::asio;

DeviceFrontend::DeviceFrontend(asio::any_io_executor executor, const Departure* departure, Log log)
    : executor_(std::move(executor)), departure_(departure), log_(std::move(log)) {}

DeviceFrontend::~DeviceFrontend() { HAST_ASSERT(sink_ == nullptr && withdrawn_.empty()); }

Result<void> DeviceFrontend::start() {
  fresh_ = true;
  return {};
}

Result<void> DeviceFrontend::serve(port::RequestSink& sink) {
  HAST_ASSERT(sink_ == nullptr);
  fresh_ = false;
  sink_ = &sink;
  Result<void> attached = attach();
  if (!attached) sink_ = nullptr;
  return attached;
}

void DeviceFrontend::withdraw(std::string reason, std::function<void()> done) {
  log_.debug("{} is withdrawn: {}.", location(), reason);
  withdrawn_.push_back(std::move(done));
  if (sink_ != nullptr) {
    if (!std::exchange(withdrawing_, true)) {
      device_stays_ = comes_back();
      let_go();
    }
  } else if (!std::exchange(fresh_, false) && !comes_back()) {
    // A role that does not serve: what a former hastd left must not be written here later on.
    remove_devices();
  }
  check_withdrawn();
}

/// Posted: whoever called us is not called back from inside, and nothing is destroyed under it.
void DeviceFrontend::check_withdrawn() {
  if (withdrawn_.empty() || finish_posted_ || !has_let_go()) return;
  finish_posted_ = true;
  asio::post(executor_, [this] { finish_withdrawal(); });
}

void DeviceFrontend::finish_withdrawal() {
  finish_posted_ = false;
  if (sink_ != nullptr) end_service();
  sink_ = nullptr;
  withdrawing_ = device_stays_ = false;
  // The last of them may be followed by the end of this object.
  for (std::function<void()>& done : std::exchange(withdrawn_, {}))
    asio::post(executor_, std::move(done));
}

/// What a former hastd left and no role claimed goes with this one, unless that comes back too.
void DeviceFrontend::stop(std::function<void()> done) {
  HAST_ASSERT(sink_ == nullptr);
  if (!comes_back()) remove_devices();
  withdrawn_.push_back(std::move(done));
  check_withdrawn();
}

}  // namespace hast::adapter
