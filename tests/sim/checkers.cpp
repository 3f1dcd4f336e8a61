#include "checkers.hpp"

#include <fmt/core.h>

#include <algorithm>

namespace hast::sim {

std::optional<std::string> unmarked_difference(World& world) {
  const ondisk::Layout one = world.a().layout();
  const ondisk::Layout other = world.b().layout();
  const Bitmap marked_a = world.a().map();
  const Bitmap marked_b = world.b().map();
  for (std::uint64_t e = 0; e < one.extents; ++e) {
    if (marked_a.test(e) || marked_b.test(e)) continue;
    const std::uint64_t begin = e * one.extent_bytes;
    const std::uint64_t length = std::min<std::uint64_t>(one.extent_bytes, one.data_bytes - begin);
    const ConstByteSpan here = world.a().drive().media.durable(one.data_offset + begin, length);
    const ConstByteSpan there = world.b().drive().media.durable(other.data_offset + begin, length);
    const auto differ = std::mismatch(here.begin(), here.end(), there.begin());
    if (differ.first == here.end()) continue;
    const auto at = static_cast<std::uint64_t>(differ.first - here.begin());
    return fmt::format("extent {} is marked on neither node, and byte {} of the volume differs", e,
                       begin + at);
  }
  return std::nullopt;
}

MarkGuard::MarkGuard(World& world)
    : world_(world), layout_a_(world.a().layout()), layout_b_(world.b().layout()) {
  for (Machine* machine : {&world.a(), &world.b()})
    machine->drive().submitted = [this, machine](const port::DiskOp& op) { look(*machine, op); };
}

MarkGuard::~MarkGuard() {
  for (Machine* machine : {&world_.a(), &world_.b()}) machine->drive().submitted = nullptr;
}

void MarkGuard::also(Machine& machine, std::function<void(const port::DiskOp&)> watcher) {
  machine.drive().submitted = [this, &machine,
                               watcher = std::move(watcher)](const port::DiskOp& op) {
    look(machine, op);
    if (watcher) watcher(op);
  };
}

bool MarkGuard::marked(Machine& machine, std::uint64_t extent) {
  const std::byte bits = machine.drive().media.durable(ondisk::kMapOffset + extent / 8, 1)[0];
  return (std::to_integer<unsigned>(bits) >> (extent % 8) & 1) != 0;
}

void MarkGuard::look(Machine& machine, const port::DiskOp& op) {
  if (op.kind == IoKind::read || op.kind == IoKind::flush) return;
  const ondisk::Layout& layout = &machine == &world_.a() ? layout_a_ : layout_b_;
  if (op.offset_bytes < layout.data_offset) return;
  const std::uint64_t begin = op.offset_bytes - layout.data_offset;
  const std::uint64_t last = (begin + op.length_bytes - 1) / layout.extent_bytes;
  for (std::uint64_t e = begin / layout.extent_bytes; e <= last; ++e) {
    if (marked(machine, e) || marked(world_.other(machine), e)) continue;
    wrong_.push_back(fmt::format("{} writes data at byte {} under extent {}, which is not marked",
                                 machine.host(), begin, e));
  }
}

}  // namespace hast::sim
