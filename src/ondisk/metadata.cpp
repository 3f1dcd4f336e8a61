#include "hast/ondisk/metadata.hpp"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <limits>

#include "hast/base/assert.hpp"
#include "hast/base/nv.hpp"
#include "hast/base/units.hpp"

namespace hast::ondisk {
namespace {

constexpr std::string_view kOurPrefix = "hast_";
constexpr std::string_view kSequence = "hast_sequence";
constexpr std::string_view kInconsistent = "hast_inconsistent";
constexpr std::string_view kOutdated = "hast_outdated";
constexpr std::string_view kSyncFrom = "hast_sync_from";
constexpr std::string_view kGenerations = "hast_generations";
constexpr std::string_view kChecksum = "hast_checksum";
constexpr std::size_t kChecksumBytes = 4;
constexpr std::size_t kDataPadding = 8;  // nv data are padded to a multiple of this

constexpr std::array<std::string_view, 9> kOriginalFields{"resource",  "datasize",  "extentsize",
                                                          "keepdirty", "offset",    "resuid",
                                                          "localcnt",  "remotecnt", "prevrole"};

Error damaged(std::string why) { return {Errc::metadata_damaged, 0, std::move(why)}; }

uLong crc_of(uLong crc, ConstByteSpan bytes) {
  return crc32_z(crc, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size());
}

// Over the whole block, as if the four bytes of the sum itself were zero.
std::uint32_t checksum_of(ConstByteSpan block, std::size_t sum_at) {
  constexpr std::array<std::byte, kChecksumBytes> kZeros{};
  uLong crc = crc_of(crc32_z(0, nullptr, 0), block.first(sum_at));
  crc = crc_of(crc, kZeros);
  return static_cast<std::uint32_t>(crc_of(crc, block.subspan(sum_at + kChecksumBytes)));
}

void write_original_fields(NvWriter& out, const Metadata& metadata) {
  out.string("resource", metadata.resource);
  out.u64("datasize", metadata.datasize);
  out.u32("extentsize", metadata.extentsize);
  out.u32("keepdirty", metadata.keepdirty);
  out.u64("offset", metadata.offset);
  out.u64("resuid", metadata.resuid);
  out.u64("localcnt", metadata.localcnt);
  out.u64("remotecnt", metadata.remotecnt);
  out.string("prevrole", to_string(metadata.prevrole));
}

void write_our_fields(NvWriter& out, const Metadata& metadata) {
  out.u64(kSequence, metadata.sequence);
  out.u8(kInconsistent, metadata.inconsistent ? 1 : 0);
  out.u8(kOutdated, metadata.outdated ? 1 : 0);
  out.u64(kSyncFrom, metadata.sync_from);
  out.u8_array(kGenerations, encode_generations(metadata.generations));
  out.u32(kChecksum, 0);  // last, so that its place is known from the end
}

// Reads fields one after the other and keeps the first error, so that the caller checks once.
class Fields {
 public:
  explicit Fields(const NvReader& nv) : nv_(nv) {}

  std::string string(std::string_view name) { return std::string(take(nv_.string(name))); }
  std::uint64_t u64(std::string_view name) { return take(nv_.u64(name)); }
  std::uint32_t u32(std::string_view name) { return take(nv_.u32(name)); }
  std::uint8_t u8(std::string_view name) { return take(nv_.u8(name)); }
  Generations generations(std::string_view name) {
    const std::optional<Generations> found = decode_generations(take(nv_.u8_array(name)));
    if (!found && !failed_) {
      failed_ = true;
      why_ = std::string(name) + ": wrong length";
    }
    return found.value_or(Generations{});
  }
  bool contains(std::string_view name) const { return nv_.contains(name); }

  bool failed() const { return failed_; }
  Error error() const { return damaged(why_); }

 private:
  template <class T>
  T take(const Result<T>& field) {
    if (field) return *field;
    if (!failed_)
      why_ =
          std::string(field.error().detail) + ": " + std::string(text_of(field.error().code).what);
    failed_ = true;
    return T{};
  }

  const NvReader& nv_;
  bool failed_ = false;
  std::string why_;
};

Metadata read_original_fields(Fields& in) {
  Metadata metadata;
  metadata.resource = in.string("resource");
  metadata.datasize = in.u64("datasize");
  metadata.extentsize = in.u32("extentsize");
  metadata.keepdirty = in.u32("keepdirty");
  metadata.offset = in.u64("offset");
  metadata.resuid = in.u64("resuid");
  metadata.localcnt = in.u64("localcnt");
  metadata.remotecnt = in.u64("remotecnt");
  // Informational only, and an original accepts any word there; so must we.
  metadata.prevrole = parse_role(in.string("prevrole")).value_or(Role::init);
  return metadata;
}

Result<void> check_checksum(const NvReader& nv, ConstByteSpan block) {
  const Result<std::uint32_t> stored = nv.u32(kChecksum);
  if (!stored) return damaged("the checksum is absent");
  const NvElement* element = nv.find(kChecksum);
  const auto sum_at = static_cast<std::size_t>(element->data.data() - block.data());
  if (checksum_of(block, sum_at) != *stored) return damaged("the checksum does not match");
  return {};
}

bool has_our_fields(const NvReader& nv) {
  return std::any_of(nv.elements().begin(), nv.elements().end(),
                     [](const NvElement& e) { return e.name.starts_with(kOurPrefix); });
}

bool has_original_field(const NvReader& nv) {
  return std::any_of(kOriginalFields.begin(), kOriginalFields.end(),
                     [&](std::string_view name) { return nv.contains(name); });
}

// The name of the first element both HASTs write, at its place: what tells a torn or overwritten
// block of ours from a component that never was one.
bool starts_like_metadata(ConstByteSpan block) {
  constexpr std::size_t kNameAt = 6;
  return as_text(block.subspan(kNameAt, kOriginalFields[0].size())) == kOriginalFields[0];
}

// Whoever writes a block writes zeros behind its list. Something else there is the rest of a longer
// list of ours, whose end a damaged type byte has moved forward.
bool ends_in_zeros(const NvReader& nv, ConstByteSpan block) {
  const ConstByteSpan last = nv.elements().back().data;
  const auto last_at = static_cast<std::size_t>(last.data() - block.data());
  const std::size_t end = last_at + round_up(last.size(), kDataPadding);
  return std::all_of(block.begin() + static_cast<std::ptrdiff_t>(end), block.end(),
                     [](std::byte b) { return b == std::byte{0}; });
}

// What a HAST can have written; whether it fits the component is layout_of()'s to say.
Result<void> check_values(const Metadata& metadata) {
  if (metadata.resource.empty() || metadata.resource.size() > kMaxResourceName)
    return damaged("the resource name has an impossible length");
  if (!is_power_of_two(metadata.extentsize) || metadata.extentsize < kMinSectorBytes)
    return damaged("extentsize " + std::to_string(metadata.extentsize) + " is no extent size");
  if (metadata.keepdirty == 0) return damaged("keepdirty is 0");
  if (metadata.datasize == 0) return damaged("datasize is 0");
  if (metadata.offset <= kMetadataBytes || metadata.offset % kMinSectorBytes != 0)
    return damaged("offset " + std::to_string(metadata.offset) + " is no place for data");
  constexpr std::uint64_t kMaxOffset = std::numeric_limits<std::int64_t>::max();
  if (!range_within(metadata.offset, metadata.datasize, kMaxOffset))
    return damaged("offset and datasize exceed what a device can have");
  return {};
}

bool same_life(const Metadata& one, const Metadata& other) {
  return one.resource == other.resource && one.datasize == other.datasize &&
         one.extentsize == other.extentsize && one.offset == other.offset;
}

}  // namespace

Result<void> encode(const Metadata& metadata, Format format, ByteSpan block) {
  HAST_ASSERT(block.size() == kMetadataBytes);
  std::fill(block.begin(), block.end(), std::byte{0});
  NvWriter out(block);
  write_original_fields(out, metadata);
  if (format == Format::extended) write_our_fields(out, metadata);
  if (out.failed()) return Error{Errc::too_large, 0, "resource name"};
  if (format == Format::extended) {
    const std::size_t sum_at = out.size() - kDataPadding;
    store_le(&block[sum_at], checksum_of(block, sum_at));
  }
  return {};
}

Result<Metadata> decode(ConstByteSpan block) {
  if (block.size() != kMetadataBytes) return Errc::component_unformatted;
  const Result<NvReader> nv = NvReader::parse(block);
  if (!nv || !has_original_field(*nv)) {
    if (!starts_like_metadata(block)) return Errc::component_unformatted;
    return damaged("the name/value list cannot be read");
  }
  if (!ends_in_zeros(*nv, block)) return damaged("there are bytes behind its end");
  // The checksum first: with it wrong, nothing else that is said about the block is worth much.
  const bool ours = has_our_fields(*nv);
  if (ours)
    if (Result<void> sum = check_checksum(*nv, block); !sum) return std::move(sum).error();
  Fields in(*nv);
  Metadata metadata = read_original_fields(in);
  if (ours) {
    metadata.sequence = in.u64(kSequence);
    metadata.inconsistent = in.u8(kInconsistent) != 0;
  }
  if (in.contains(kGenerations)) {  // since 0.2
    metadata.outdated = in.u8(kOutdated) != 0;
    metadata.sync_from = in.u64(kSyncFrom);
    metadata.generations = in.generations(kGenerations);
  }
  if (in.failed()) return in.error();
  if (Result<void> values = check_values(metadata); !values) return std::move(values).error();
  return metadata;
}

Result<Metadata> choose(const Result<Metadata>& first, const Result<Metadata>& second) {
  if (!second) return first;
  if (!first) return second;
  if (!same_life(*first, *second)) return first;
  const bool by_original = first->sequence == 0;
  if (!by_original) return second->sequence > first->sequence ? second : first;
  Metadata chosen = *first;
  chosen.sequence = second->sequence;
  // The original drops the mark with our other fields, not because the data became whole (INV-5).
  chosen.inconsistent = second->inconsistent;
  chosen.outdated = second->outdated;
  return chosen;
}

}  // namespace hast::ondisk
