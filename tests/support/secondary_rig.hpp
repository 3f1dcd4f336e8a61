// A Secondary in a test's hand: media and disk, a recording host, and the engine's reader and
// writer reduced to send() and answers().
#pragma once

#include <cstring>
#include <exception>
#include <memory>
#include <vector>

#include "hast/core/secondary.hpp"
#include "support/catch.hpp"
#include "support/core_hosts.hpp"
#include "support/fake_disk.hpp"
#include "support/test_component.hpp"

namespace hast::test {

struct SentReply {
  std::uint64_t seq = 0;
  bool received = false;
  int error = 0;
  std::vector<std::byte> data;  // of a successful READ
};

struct SecondaryRigOptions {
  ComponentShape shape;
  std::size_t requests = 16;
  bool metadata_copy_lost = false;  // they are written anew at the start
  bool doubtful = false;            // likewise
};

class SecondaryRig {
 public:
  static constexpr std::uint64_t kResuid = 0x5eed;

  explicit SecondaryRig(const SecondaryRigOptions& options = {})
      : options_(options), media_(formatted_media(options.shape)) {
    ondisk::Metadata metadata = fresh_metadata(options.shape);
    metadata.resuid = kResuid;
    store_metadata(media_, options.shape, metadata);
  }
  ~SecondaryRig() {
    if (!secondary_) return;
    if (std::uncaught_exceptions() == 0) finish();
    if (secondary_) crash();
  }
  SecondaryRig(const SecondaryRig&) = delete;
  SecondaryRig& operator=(const SecondaryRig&) = delete;

  // The process.
  SecondaryRig& start() {
    HAST_ASSERT(!secondary_);
    disk_ = std::make_unique<FakeDisk>(media_);
    host_ = std::make_unique<RecordingSecondaryHost>();
    core::Component component = open_component(*disk_, media_, options_.shape);
    component.metadata_copy_lost = options_.metadata_copy_lost;
    component.doubtful = options_.doubtful;
    secondary_ = std::make_unique<core::Secondary>(component, options_.requests, *host_,
                                                   std::exchange(recent_, {}));
    return *this;
  }
  /// Another takes its place, as after a flush that failed.
  void renew() {
    recent_ = secondary_->recent_writes();
    finish();
    start();
  }
  SecondaryRig& start_session(
      core::Secondary::Dialect dialect = core::Secondary::Dialect::original) {
    start();
    begin_session(dialect);
    return *this;
  }
  void begin_session(core::Secondary::Dialect dialect = core::Secondary::Dialect::original) {
    secondary_->session_started(dialect);
    in_session_ = true;
  }
  void end_session() {
    if (!std::exchange(in_session_, false)) return;
    secondary_->session_ended();
  }
  void crash() {
    if (!secondary_) return;
    disk_->cut();
    end_session();
    disk_->run_all();
    secondary_.reset();
    host_.reset();
    disk_.reset();
  }
  void power_loss() {
    crash();
    media_.power_loss();
  }
  void finish() {
    disk_->run_all();
    answers();
    end_session();
    disk_->run_all();
    CHECK(secondary_->quiet());
    CHECK(disk_->racing_writes() == 0);
    if (!secondary_->quiet()) return;
    secondary_.reset();
    host_.reset();
    disk_.reset();
  }

  // Requests.
  core::PeerRequest& prepare(IoKind kind, std::uint64_t seq, std::uint64_t offset = 0,
                             std::uint64_t length = 0, unsigned fill = 0) {
    core::PeerRequest* request = secondary_->acquire();
    HAST_ASSERT(request != nullptr);
    request->kind = kind;
    request->seq = seq;
    request->offset_bytes = offset;
    request->length_bytes = length;
    request->memsync = false;
    if (kind == IoKind::write && length <= core::kMaxPeerIoBytes)
      std::memset(request->buffer, static_cast<int>(fill), length);
    return *request;
  }
  void write(std::uint64_t seq, std::uint64_t offset, std::uint64_t length, unsigned fill) {
    secondary_->submit(prepare(IoKind::write, seq, offset, length, fill));
  }
  void write_memsync(std::uint64_t seq, std::uint64_t offset, std::uint64_t length, unsigned fill) {
    core::PeerRequest& request = prepare(IoKind::write, seq, offset, length, fill);
    request.memsync = true;
    secondary_->submit(request);
  }
  void read(std::uint64_t seq, std::uint64_t offset, std::uint64_t length) {
    secondary_->submit(prepare(IoKind::read, seq, offset, length));
  }
  void discard(std::uint64_t seq, std::uint64_t offset, std::uint64_t length) {
    secondary_->submit(prepare(IoKind::discard, seq, offset, length));
  }
  void flush(std::uint64_t seq) { secondary_->submit(prepare(IoKind::flush, seq)); }

  /// Everything the writer would send now.
  std::vector<SentReply> answers() {
    std::vector<SentReply> sent;
    while (core::PeerReply* reply = secondary_->next_reply()) {
      const core::PeerRequest& request = *reply->request;
      SentReply copy{request.seq, reply->received, reply->received ? 0 : request.error, {}};
      if (request.kind == IoKind::read && request.error == 0)
        copy.data.assign(request.buffer, request.buffer + request.length_bytes);
      sent.push_back(std::move(copy));
      secondary_->reply_sent(*reply);
    }
    return sent;
  }
  std::vector<std::uint64_t> answered_seqs() {
    std::vector<std::uint64_t> seqs;
    for (const SentReply& reply : answers()) seqs.push_back(reply.seq);
    return seqs;
  }

  // What there is.
  core::Secondary& secondary() { return *secondary_; }
  FakeDisk& disk() { return *disk_; }
  DiskMedia& media() { return media_; }
  RecordingSecondaryHost& host() { return *host_; }
  const ComponentShape& shape() const { return options_.shape; }

  Bitmap map(Layer layer = Layer::durable) const { return map_on(media_, shape(), layer); }
  ondisk::Metadata metadata(Layer layer = Layer::durable) const {
    return metadata_on(media_, shape(), layer).value();
  }
  ConstByteSpan data(std::uint64_t offset, std::uint64_t length) const {
    return data_on(media_, shape()).subspan(offset, length);
  }
  bool is_data(const port::DiskOp& op) const {
    return op.kind != IoKind::flush && op.offset_bytes >= shape().layout().data_offset;
  }
  std::size_t held_data() const {
    return disk_->held_of([this](const port::DiskOp& op) { return is_data(op); });
  }

 private:
  SecondaryRigOptions options_;
  core::RecentWrites recent_;
  DiskMedia media_;
  std::unique_ptr<FakeDisk> disk_;
  std::unique_ptr<RecordingSecondaryHost> host_;
  std::unique_ptr<core::Secondary> secondary_;
  bool in_session_ = false;
};

}  // namespace hast::test
