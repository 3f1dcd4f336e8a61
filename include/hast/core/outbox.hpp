// What the primary asks of its peer: requests that wait to be sent and requests that wait for a
// reply. Sequence numbers are unique for the life of the process (the original's are not, which
// loses data) and carry the place of their operation, so a reply finds its request at once.
//
// The engine's writer takes with next(), its reader looks up with find(). An operation belongs to
// its owner and stays put from send() to `completed`.
#pragma once

#include <cstdint>
#include <vector>

#include "hast/base/intrusive_list.hpp"
#include "hast/base/types.hpp"
#include "hast/core/peer_order.hpp"

namespace hast::core {

struct RemoteOp : ListNode<RemoteOp> {
  IoKind kind = IoKind::read;
  const PeerOrder* order = nullptr;  // instead of I/O; stays put like the operation
  bool memsync = false;              // ask for the early reply
  bool fua = false;                  // ask for a final reply only when it is durable
  std::uint64_t offset_bytes = 0;    // in the volume
  std::uint64_t length_bytes = 0;
  std::byte* data = nullptr;  // read, write; null for write_zeroes
  std::uint64_t seq = 0;      // set by send()
  int error = 0;              // errno of this host, valid in `completed`

  void (*received)(RemoteOp&) = nullptr;   // memsync: the peer holds the data
  void (*completed)(RemoteOp&) = nullptr;  // final; exactly once per send()
  void* owner = nullptr;

  bool sent = false;        // handed out by Outbox::next()
  std::uint16_t place = 0;  // given by Outbox::enroll()
};

class Outbox {
 public:
  class Observer {
   public:
    virtual void outbox_filled() = 0;  // has_next() became true; cheap, never re-entrant

   protected:
    ~Observer() = default;
  };

  static constexpr unsigned kPlaceBits = 12;
  static constexpr std::size_t kMaxOps = std::size_t{1} << kPlaceBits;

  void observe(Observer& observer) { observer_ = &observer; }
  /// Every operation is enrolled once, before its first send().
  void enroll(RemoteOp& op);

  /// Accepts operations from connect() on; hands them out from release() on: until the merged map
  /// is durable no request may reach the peer, which takes the first one as proof of it.
  void connect();
  void release();
  bool connected() const { return connected_; }
  bool released() const { return released_; }

  void send(RemoteOp& op);  // connected only

  bool has_next() const { return released_ && !waiting_.empty(); }
  RemoteOp* next();  // nullptr when nothing waits or nothing may be sent yet
  /// The operation a reply is for, nullptr if no such request is outstanding.
  RemoteOp* find(std::uint64_t seq);
  /// A final reply arrived: the operation leaves the outbox, then `completed` runs.
  void complete(RemoteOp& op, int error);

  /// The link is gone and nobody touches buffers any more: everything completes with ENOTCONN.
  void disconnect();

  std::size_t waiting() const { return waiting_.size(); }
  std::size_t outstanding() const { return sent_.size(); }

 private:
  using List = IntrusiveList<RemoteOp, RemoteOp>;

  Observer* observer_ = nullptr;
  std::vector<RemoteOp*> places_;
  List waiting_;
  List sent_;
  std::uint64_t serial_ = 0;
  bool connected_ = false;
  bool released_ = false;
};

}  // namespace hast::core
