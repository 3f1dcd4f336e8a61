// What the parts of a primary share: the component and the bookkeeping of who holds what. Owned by
// Primary; nobody else keeps state about ranges.
#pragma once

#include "hast/core/component.hpp"
#include "hast/core/dirty_map.hpp"
#include "hast/core/outbox.hpp"
#include "hast/core/range_lock.hpp"
#include "hast/core/stale_map.hpp"

namespace hast::core {

struct Volume {
  explicit Volume(const Component& opened)
      : component(opened),
        disk(*opened.disk),
        map(opened.layout.data_bytes, opened.layout.extent_bytes, opened.metadata.keepdirty),
        stale(opened.layout.data_bytes, opened.layout.extent_bytes) {
    map.load(opened.map_image);
  }

  std::uint64_t data_bytes() const { return component.layout.data_bytes; }
  std::uint64_t on_component(std::uint64_t offset_bytes) const {
    return component.layout.data_offset + offset_bytes;
  }

  Component component;
  port::Disk& disk;
  DirtyMap map;
  StaleMap stale;
  RangeLock locks;
  Outbox outbox;
};

}  // namespace hast::core
