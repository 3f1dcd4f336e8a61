#include "aside.hpp"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <memory>
#include <system_error>
#include <thread>

#include "signals_blocked.hpp"

namespace hast::adapter {

namespace asio = boost::asio;

void aside(const asio::any_io_executor& executor, std::function<void()> work,
           std::function<void()> done) {
  struct Call {
    std::function<void()> work;
    std::function<void()> done;
    asio::executor_work_guard<asio::any_io_executor> guard;
    std::thread thread{};
  };
  auto call = std::make_shared<Call>(
      Call{std::move(work), std::move(done), asio::make_work_guard(executor)});
  const auto finish = [call] {
    if (call->thread.joinable()) call->thread.join();
    call->done();
  };
  const SignalsBlocked inherited_by_thread;
  try {
    // The handler cannot run before the thread is stored: this is the executor.
    call->thread = std::thread([call = call.get(), executor, finish] {
      call->work();
      asio::post(executor, finish);
    });
  } catch (const std::system_error&) {  // no thread to be had: better late than not
    call->work();
    asio::post(executor, finish);
  }
}

}  // namespace hast::adapter
