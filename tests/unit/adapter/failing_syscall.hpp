// Makes one system call fail with a chosen errno, on the calling thread and its children only: the
// way to errors that no healthy kernel gives on demand. Linux on x86-64 and arm64; it cannot be
// taken back, so tests run it in a thread of its own.
#pragma once

#include <cstdint>
#include <functional>
#include <thread>

#if defined(__linux__)
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include <cstddef>

namespace hast::adapter::test {

inline bool fail_on_this_thread(long call, int error) {
  sock_filter program[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<std::uint32_t>(call), 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | static_cast<std::uint32_t>(error)),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  sock_fprog filter{static_cast<unsigned short>(std::size(program)), program};
  return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
}

/// False if the kernel has no such filter: then `body` did not run and the test must say so.
inline bool run_with_failing(long call, int error, const std::function<void()>& body) {
  bool armed = false;
  std::thread([&] {
    armed = fail_on_this_thread(call, error);
    if (armed) body();
  }).join();
  return armed;
}

}  // namespace hast::adapter::test
#endif
