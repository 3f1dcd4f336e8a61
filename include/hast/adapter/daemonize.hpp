// Becoming a daemon: a pidfile that only one process can hold, and a parent that exits when the
// child is really up, with the child's exit status when it is not. Before any thread exists.
#pragma once

#include <string>

#include "hast/base/result.hpp"

namespace hast::adapter {

/// Opens /dev/null on those of descriptors 0, 1, 2 that are closed: else a socket would get such a
/// number and everything printed would go to its peer. First thing in main().
void occupy_standard_descriptors();

/// Locked as long as it exists, removed with it. Movable; a default one holds nothing.
class Pidfile {
 public:
  /// Errors: already_running (with the pid of the holder), io_failed.
  static Result<Pidfile> open(const std::string& path);

  Pidfile() = default;
  Pidfile(Pidfile&& other) noexcept;
  Pidfile& operator=(Pidfile&& other) noexcept;
  ~Pidfile();

  /// Stores this process's id: after the fork. Errors: io_failed.
  Result<void> write();

 private:
  Pidfile(int fd, std::string path) : fd_(fd), path_(std::move(path)) {}
  void remove();

  int fd_ = -1;
  std::string path_;
};

class Detachment {
 public:
  /// Forks; only the child returns. The parent waits for ready() or for the child's end, and exits
  /// with its status. Errors: io_failed.
  static Result<Detachment> begin();
  /// Start-up succeeded: lets go of the terminal and of the directory; the parent exits with 0.
  Result<void> ready();

 private:
  explicit Detachment(int fd) : fd_(fd) {}
  int fd_;
};

}  // namespace hast::adapter
