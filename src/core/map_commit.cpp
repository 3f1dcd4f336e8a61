#include "hast/core/map_commit.hpp"

#include <algorithm>

#include "hast/base/assert.hpp"
#include "hast/base/units.hpp"

namespace hast::core {

namespace {
constexpr std::uint64_t kPage = DirtyMap::kPageBytes;
}

MapCommit::MapCommit(const Component& component, DirtyMap& map, Flush flush, Observer& observer)
    : disk_(*component.disk),
      map_bytes_(component.layout.map_bytes),
      map_(map),
      flush_(flush),
      observer_(observer),
      pages_(map.changed_pages().size()),
      // The last page of an original's layout may be shorter than a page: data follow at once.
      image_(std::min<std::uint64_t>(map.changed_pages().size() * kPage, map_bytes_)) {
  HAST_ASSERT(divide_up(map.extents(), 8) <= map_bytes_);
  for (port::DiskOp& op : writes_) completes_with<&MapCommit::write_done>(op, this);
  completes_with<&MapCommit::flush_done>(flush_op_, this);
}

Ticket MapCommit::commit() {
  if (running_) {
    again_ = true;
    return ticket_ + 1;
  }
  begin();
  return ticket_;
}

void MapCommit::begin() {
  running_ = true;
  again_ = false;
  error_ = 0;
  next_page_ = 0;
  ++ticket_;
  std::swap(pages_, map_.changed_pages());
  map_.changed_pages().reset_all();
  for (std::uint64_t page = pages_.find_next(0); page != Bitmap::npos;
       page = pages_.find_next(page + 1)) {
    const std::uint64_t begin = page * kPage;
    map_.export_image(begin, image_.span().subspan(begin, std::min(kPage, image_.size() - begin)));
  }
  one_write_ = flush_ == Flush::yes && is_one_run();
  for (port::DiskOp& op : writes_) {
    if (!write_next(op)) break;
  }
  // Nothing to write still means a flush: the caller wants to know its bits are on stable storage.
  if (in_flight_ == 0) writes_finished();
}

/// Where the run of changed pages that begins there ends.
std::uint64_t MapCommit::run_end(std::uint64_t first) const {
  std::uint64_t end = first + 1;
  while (end < pages_.size() && end - first < kMaxRunPages && pages_.test(end)) ++end;
  return end;
}

bool MapCommit::is_one_run() const {
  const std::uint64_t first = pages_.find_next(0);
  return first != Bitmap::npos && pages_.find_next(run_end(first)) == Bitmap::npos;
}

/// Submits the next run of changed pages; false when there is none left.
bool MapCommit::write_next(port::DiskOp& op) {
  const std::uint64_t first = pages_.find_next(next_page_);
  if (first == Bitmap::npos) return false;
  const std::uint64_t end = next_page_ = run_end(first);
  const std::uint64_t begin_byte = first * kPage;
  op.kind = IoKind::write;
  op.offset_bytes = ondisk::kMapOffset + begin_byte;
  op.length_bytes = std::min<std::uint64_t>(end * kPage, image_.size()) - begin_byte;
  op.data = image_.data() + begin_byte;
  op.durable = one_write_;
  op.error = 0;
  ++in_flight_;
  disk_.submit(op);
  return true;
}

void MapCommit::write_done(port::DiskOp& op) {
  if (op.error != 0 && error_ == 0) error_ = op.error;
  --in_flight_;
  if (error_ == 0 && write_next(op)) return;
  if (in_flight_ == 0) writes_finished();
}

void MapCommit::writes_finished() {
  if (error_ != 0 || one_write_) return finish(error_);
  flush_op_.kind = IoKind::flush;
  flush_op_.error = 0;
  if (flush_ == Flush::yes || pages_.count() == 0) return disk_.submit(flush_op_);
  finish(0);
}

void MapCommit::flush_done(port::DiskOp& op) { finish(port::flush_result(op.error)); }

void MapCommit::finish(int error) {
  running_ = false;
  const Ticket done = ticket_;
  for (std::uint64_t page = pages_.find_next(0); page != Bitmap::npos;
       page = pages_.find_next(page + 1)) {
    if (error != 0) {
      map_.changed_pages().set(page);  // INV-4: still due
    } else {
      const std::uint64_t begin = page * kPage;
      map_.page_stable(page, image_.span().subspan(begin, std::min(kPage, image_.size() - begin)));
    }
  }
  if (again_) begin();
  observer_.map_committed(done, error);
}

}  // namespace hast::core
