// InlineDisk: port::Disk for components that live in memory (tmpfs and the like), where a call
// never waits for a device: handing it to a thread would cost several times what it does.
// Operations of a turn are performed at its end, on the owner's executor, which is also where they
// complete. Owned by the resource; nothing may be in flight when it is destroyed.
#pragma once

#include <memory>

#include "hast/adapter/component.hpp"
#include "hast/base/intrusive_list.hpp"
#include "hast/port/disk.hpp"

namespace hast::adapter {

class InlineDisk final : public port::Disk {
 public:
  /// Whether the kernel keeps the component's bytes in memory and nowhere else.
  static bool suits(const Component& component);

  explicit InlineDisk(std::unique_ptr<Component> component);
  ~InlineDisk() override;

  port::DiskGeometry geometry() const override { return component_->geometry(); }
  void submit(port::DiskOp& op) override;
  void kick() override;
  void flush_again() override { component_->flush_again(); }
  bool completes_in_kick() const override { return true; }

 private:
  std::unique_ptr<Component> component_;
  IntrusiveList<port::DiskOp, port::DiskOp> submitted_;
  std::size_t in_flight_ = 0;
};

}  // namespace hast::adapter
