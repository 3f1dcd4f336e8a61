// A machine of the world: drives and a place on the network, which last, and a hastd, which comes
// and goes. Tests and workloads act through it as an operator and as a client would. Calls that
// take time run the world until they have ended.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "hast/base/bitmap.hpp"
#include "hast/ondisk/layout.hpp"
#include "process.hpp"

namespace hast::sim {

class World;

/// What a machine's copy of a resource looks like at creation.
struct VolumeShape {
  std::uint64_t component_bytes = 2 * 1024 * 1024;  // 1 MiB of them are data
  std::uint32_t extent_bytes = 64 * 1024;
  std::uint32_t keepdirty = 4;
  std::uint32_t sector_bytes = 512;
  ondisk::Format format = ondisk::Format::extended;
};

class Machine {
 public:
  Machine(World& world, std::string name, std::string host, SeededRandom random);
  ~Machine();

  const std::string& name() const { return name_; }
  const std::string& host() const { return host_; }

  // Before boot.
  /// `hastctl create`: forgets what was there. Also between roles.
  void create(const std::string& resource, const VolumeShape& shape);
  engine::ResourceSettings& settings(const std::string& resource = "shared");
  void set_rare_percent(unsigned percent) { random_.set_rare_percent(percent); }
  // A past that never happened: durable, as if it had always been there.
  void preset(const std::function<void(ondisk::Metadata&)>& change);
  void preset_map(const std::vector<std::uint64_t>& extents);
  void preset_data(std::uint64_t offset, std::uint64_t length, unsigned fill);

  // Life.
  void boot();
  void stop();       // orderly; runs the world until it has ended
  void kill();       // kill -9: what the drives took stays
  void power_off();  // and what they had not flushed may be lost, sector by sector
  void power_off(const DiskMedia::Survivors& survivors);
  bool up() const { return process_ && process_->alive(); }
  Process& process();
  /// Destroys what has been drained. Called by the world.
  void bury();
  bool has_dying() const { return !dying_.empty(); }

  // As an operator.
  std::shared_ptr<RoleChange> begin_role(Role role, const std::string& resource = "shared");
  /// Runs the world; nullopt if it did not end within a minute.
  std::optional<Result<Role>> role(Role role, const std::string& resource = "shared");
  std::optional<Result<Role>> force_primary(const std::string& resource = "shared");
  /// Each runs the world; nullopt if it did not end within a minute.
  std::optional<Result<engine::Attached>> attach(const std::string& resource = "shared");
  std::optional<Result<engine::Discarded>> discard_own_changes(
      const std::string& resource = "shared");
  bool reload(engine::ResourceSettings settings);
  engine::ResourceStatus status(const std::string& resource = "shared");
  HookLines& hooks() { return hooks_; }

  // As a client.
  SimFrontend* frontend(const std::string& resource = "shared");
  bool serving(const std::string& resource = "shared");
  /// Each runs the world until the answer: errno, kUnknown, or nothing within a minute.
  std::optional<int> write(std::uint64_t offset, std::uint64_t length, unsigned fill);
  std::optional<int> flush();
  std::optional<int> request(ClientRequest request);
  struct Answer {
    std::optional<int> error;
    std::vector<std::byte> data;
  };
  Answer read(std::uint64_t offset, std::uint64_t length);

  // Looking inside, past every cache: what a fresh process would find.
  Drive& drive(const std::string& resource = "shared");
  Result<ondisk::Metadata> metadata(const std::string& resource = "shared");
  Bitmap map(const std::string& resource = "shared");
  ConstByteSpan data(const std::string& resource = "shared");
  const ondisk::Layout& layout(const std::string& resource = "shared");
  /// One copy of the metadata, 0 or 1, as a fresh process would find it.
  Result<ondisk::Metadata> metadata_copy(unsigned copy, const std::string& resource = "shared");

 private:
  struct Volume {
    std::unique_ptr<Drive> drive;
    ondisk::Layout layout;
    engine::ResourceSettings settings;
  };
  Volume& volume(const std::string& resource);
  std::optional<Result<Role>> wait_for(const std::shared_ptr<RoleChange>& change);

  World& world_;
  std::string name_;
  std::string host_;
  SeededRandom random_;
  std::map<std::string, Volume> volumes_;
  std::unique_ptr<Process> process_;
  std::vector<std::unique_ptr<Process>> dying_;
  HookLines hooks_;
  std::uint64_t boot_ = 1;  // differs after every loss of power
};

}  // namespace hast::sim
