#include "machine.hpp"

#include "world.hpp"

namespace hast::sim {

using namespace std::chrono_literals;

Machine::Machine(World& world, std::string name, std::string host, SeededRandom random)
    : world_(world), name_(std::move(name)), host_(std::move(host)), random_(random) {}

Machine::~Machine() { HAST_ASSERT(!process_ && dying_.empty()); }

Machine::Volume& Machine::volume(const std::string& resource) {
  const auto found = volumes_.find(resource);
  HAST_ASSERT(found != volumes_.end());
  return found->second;
}

engine::ResourceSettings& Machine::settings(const std::string& resource) {
  return volume(resource).settings;
}

Drive& Machine::drive(const std::string& resource) { return *volume(resource).drive; }

// Life --------------------------------------------------------------------------------------------

namespace {

/// Both copies, where there are two.
void store_metadata(DiskMedia& media, const ondisk::Metadata& metadata) {
  const Result<ondisk::Layout> layout =
      ondisk::layout_of(metadata, media.size_bytes(), media.sector_bytes());
  HAST_ASSERT(layout.has_value());
  std::vector<std::byte> block(ondisk::kMetadataBytes);
  const ondisk::Format format =
      layout->second_copy ? ondisk::Format::extended : ondisk::Format::original;
  HAST_ASSERT(ondisk::encode(metadata, format, block).has_value());
  media.preset(0, block);
  if (layout->second_copy) media.preset(*layout->second_copy, block);
}

}  // namespace

void Machine::create(const std::string& resource, const VolumeShape& shape) {
  ondisk::CreateRequest request;
  request.resource = resource;
  request.component_bytes = shape.component_bytes;
  request.sector_bytes = shape.sector_bytes;
  request.extent_bytes = shape.extent_bytes;
  request.keepdirty = shape.keepdirty;
  request.format = shape.format;
  const Result<ondisk::Metadata> metadata = ondisk::plan_create(request);
  HAST_ASSERT(metadata.has_value());

  Volume& mine = volumes_[resource];
  DiskMedia media(shape.component_bytes, shape.sector_bytes);
  if (!mine.drive) {
    mine.drive = std::make_unique<Drive>(Drive{std::move(media), world_.options().disk});
  } else {  // the process knows the drive, which stays where it is
    HAST_ASSERT(!mine.drive->opened);
    mine.drive->media = std::move(media);
  }
  const Result<ondisk::Layout> layout =
      ondisk::layout_of(*metadata, shape.component_bytes, shape.sector_bytes);
  HAST_ASSERT(layout.has_value());
  mine.layout = *layout;
  store_metadata(mine.drive->media, *metadata);
}

void Machine::preset(const std::function<void(ondisk::Metadata&)>& change) {
  Result<ondisk::Metadata> present = metadata();
  HAST_ASSERT(!up() && present.has_value());
  change(*present);
  store_metadata(drive().media, *present);
}

void Machine::preset_map(const std::vector<std::uint64_t>& extents) {
  Bitmap bits(layout().extents);
  for (const std::uint64_t extent : extents) bits.set(extent);
  std::vector<std::byte> image(layout().map_bytes);
  bits.export_bytes(0, image);
  drive().media.preset(ondisk::kMapOffset, image);
}

void Machine::preset_data(std::uint64_t offset, std::uint64_t length, unsigned fill) {
  const std::vector<std::byte> bytes(length, static_cast<std::byte>(fill));
  drive().media.preset(layout().data_offset + offset, bytes);
}

void Machine::boot() {
  HAST_ASSERT(!process_);
  world_.network().power_on(host_);
  ProcessParts parts = world_.parts(host_, random_.fork(), hooks_);
  parts.boot = boot_;
  process_ = std::make_unique<Process>(parts);
  for (auto& [name, volume] : volumes_)
    process_->add(volume.settings, "/dev/" + name, *volume.drive);
  Address address;
  address.host = host_;
  address.port = kDefaultPort;
  HAST_ASSERT(process_->start({address}).has_value());
}

void Machine::stop() {
  HAST_ASSERT(process_);
  process_->stop();
  const bool ended = world_.run_until([this] { return process_->ended(); }, 1min);
  HAST_ASSERT(ended);
  process_.reset();
}

void Machine::kill() {
  if (!process_) return;
  world_.trace().note("kill", host_);
  process_->kill();
  dying_.push_back(std::move(process_));
}

void Machine::power_off() {
  power_off([this](std::uint64_t, std::size_t versions) {
    return static_cast<std::size_t>(random_.below(versions + 1));
  });
}

void Machine::power_off(const DiskMedia::Survivors& survivors) {
  world_.trace().note("power off", host_);
  world_.network().power_off(host_);
  kill();
  ++boot_;
  for (auto& [name, volume] : volumes_) volume.drive->media.power_loss(survivors);
}

void Machine::bury() {
  std::erase_if(dying_, [](const std::unique_ptr<Process>& process) { return process->ended(); });
}

Process& Machine::process() {
  HAST_ASSERT(process_);
  return *process_;
}

// As an operator ----------------------------------------------------------------------------------

std::shared_ptr<RoleChange> Machine::begin_role(Role role, const std::string& resource) {
  return process().set_role(resource, role);
}

std::optional<Result<Role>> Machine::role(Role role, const std::string& resource) {
  return wait_for(begin_role(role, resource));
}

std::optional<Result<Role>> Machine::force_primary(const std::string& resource) {
  return wait_for(process().set_role(resource, Role::primary, engine::Force::yes));
}

std::optional<Result<Role>> Machine::wait_for(const std::shared_ptr<RoleChange>& change) {
  world_.run_until([&] { return change->outcome.has_value(); }, 1min);
  return change->outcome;
}

std::optional<Result<engine::Attached>> Machine::attach(const std::string& resource) {
  const auto outcome = process().attach(resource);
  world_.run_until([&] { return outcome->has_value(); }, 1min);
  return *outcome;
}

std::optional<Result<engine::Discarded>> Machine::discard_own_changes(const std::string& resource) {
  const auto outcome = process().discard_own_changes(resource);
  world_.run_until([&] { return outcome->has_value(); }, 1min);
  return *outcome;
}

bool Machine::reload(engine::ResourceSettings settings) {
  volume(settings.name).settings = settings;
  const std::shared_ptr<bool> done = process().reload(std::move(settings));
  return world_.run_until([&] { return *done; }, 1min);
}

engine::ResourceStatus Machine::status(const std::string& resource) {
  if (!up()) return {};
  return process_->resource(resource).status();
}

// As a client -------------------------------------------------------------------------------------

SimFrontend* Machine::frontend(const std::string& resource) {
  return up() ? process_->frontend(resource) : nullptr;
}

bool Machine::serving(const std::string& resource) {
  const SimFrontend* const mine = frontend(resource);
  return mine != nullptr && mine->serving();
}

std::optional<int> Machine::request(ClientRequest request) {
  // Shared: the answer may come after this call has given up on it.
  auto outcome = std::make_shared<std::optional<int>>();
  const auto inform = std::move(request.done);
  request.done = [outcome, inform](int error, ConstByteSpan data) {
    *outcome = error;
    if (inform) inform(error, data);
  };
  HAST_ASSERT(serving());
  frontend()->request(std::move(request));
  world_.run_until([&] { return outcome->has_value(); }, 1min);
  return *outcome;
}

std::optional<int> Machine::write(std::uint64_t offset, std::uint64_t length, unsigned fill) {
  ClientRequest asked;
  asked.kind = IoKind::write;
  asked.offset_bytes = offset;
  asked.length_bytes = length;
  asked.data.assign(length, static_cast<std::byte>(fill));
  return request(std::move(asked));
}

std::optional<int> Machine::flush() {
  ClientRequest asked;
  asked.kind = IoKind::flush;
  return request(std::move(asked));
}

Machine::Answer Machine::read(std::uint64_t offset, std::uint64_t length) {
  ClientRequest asked;
  asked.offset_bytes = offset;
  asked.length_bytes = length;
  auto bytes = std::make_shared<std::vector<std::byte>>();
  asked.done = [bytes](int, ConstByteSpan data) { bytes->assign(data.begin(), data.end()); };
  Answer answer;
  answer.error = request(std::move(asked));
  answer.data = *bytes;
  return answer;
}

// Looking inside ----------------------------------------------------------------------------------

Result<ondisk::Metadata> Machine::metadata_copy(unsigned copy, const std::string& resource) {
  const ondisk::Layout& where = layout(resource);
  if (copy == 1 && !where.second_copy) return Errc::component_unformatted;
  const std::uint64_t offset = copy == 0 ? 0 : *where.second_copy;
  return ondisk::decode(drive(resource).media.durable(offset, ondisk::kMetadataBytes));
}

Result<ondisk::Metadata> Machine::metadata(const std::string& resource) {
  return ondisk::choose(metadata_copy(0, resource), metadata_copy(1, resource));
}

const ondisk::Layout& Machine::layout(const std::string& resource) {
  return volume(resource).layout;
}

Bitmap Machine::map(const std::string& resource) {
  const ondisk::Layout& found = layout(resource);
  Bitmap bits(found.extents);
  bits.import_bytes(drive(resource).media.durable(ondisk::kMapOffset, found.map_bytes));
  return bits;
}

ConstByteSpan Machine::data(const std::string& resource) {
  const ondisk::Layout& found = layout(resource);
  return drive(resource).media.newest(found.data_offset, found.data_bytes);
}

}  // namespace hast::sim
