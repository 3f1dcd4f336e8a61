// Pieces of the data path by themselves: frames, payloads, range locks, the dirty map.
#include <benchmark/benchmark.h>

#include <array>
#include <vector>

#include "hast/core/dirty_map.hpp"
#include "hast/core/range_lock.hpp"
#include "hast/wire/compression.hpp"
#include "hast/wire/frame.hpp"
#include "hast/wire/payload.hpp"
#include "hast/wire/request.hpp"

namespace {

using namespace hast;

wire::Request write_request() {
  wire::Request request;
  request.command = wire::Command::write;
  request.seq = 123456;
  request.offset_bytes = 1 << 20;
  request.length_bytes = 4096;
  request.payload.size_bytes = 4096;
  return request;
}

void encode_write(benchmark::State& state) {
  std::array<std::byte, wire::kMaxEncodedBytes> frame;
  const wire::Request request = write_request();
  for (auto _ : state) benchmark::DoNotOptimize(wire::encode(request, 2, frame));
}
BENCHMARK(encode_write);

void decode_write(benchmark::State& state) {
  std::array<std::byte, wire::kMaxEncodedBytes> frame;
  const std::size_t size = wire::encode(write_request(), 2, frame);
  for (auto _ : state) {
    const auto header =
        wire::decode_frame_header(ConstByteSpan(frame).first(wire::kFrameHeaderBytes));
    benchmark::DoNotOptimize(header);
    const auto nv =
        NvReader::parse(ConstByteSpan(frame).first(size).subspan(wire::kFrameHeaderBytes));
    benchmark::DoNotOptimize(wire::decode_request(*nv));
  }
}
BENCHMARK(decode_write);

std::vector<std::byte> noise(std::size_t size) {
  std::vector<std::byte> bytes(size);
  std::uint32_t state = 1;
  for (std::byte& byte : bytes)
    byte = static_cast<std::byte>((state = state * 1664525 + 1013904223) >> 24);
  return bytes;
}

void payload(benchmark::State& state, Checksum checksum, Compression compression) {
  const std::vector<std::byte> data = noise(4096);
  std::vector<std::byte> scratch(data.size() + 64);
  const wire::PayloadOptions options{checksum, compression};
  for (auto _ : state) benchmark::DoNotOptimize(wire::encode_payload(data, options, scratch));
  state.SetBytesProcessed(state.iterations() * 4096);
}
BENCHMARK_CAPTURE(payload, plain, Checksum::none, Compression::hole);
BENCHMARK_CAPTURE(payload, crc32, Checksum::crc32, Compression::hole);
BENCHMARK_CAPTURE(payload, sha256, Checksum::sha256, Compression::hole);
BENCHMARK_CAPTURE(payload, lzf, Checksum::none, Compression::lzf);

void zeros(benchmark::State& state) {
  const std::vector<std::byte> data(4096);
  for (auto _ : state) benchmark::DoNotOptimize(wire::is_all_zero(data));
}
BENCHMARK(zeros);

/// One more claim beside as many as the argument says.
void range_lock(benchmark::State& state) {
  core::RangeLock lock;
  std::vector<core::RangeClaim> held(static_cast<std::size_t>(state.range(0)));
  for (std::size_t i = 0; i < held.size(); ++i) {
    held[i].begin = i * 8192;
    held[i].end = held[i].begin + 4096;
    lock.acquire(held[i]);
  }
  core::RangeClaim claim;
  claim.begin = std::uint64_t{1} << 40;
  claim.end = claim.begin + 4096;
  for (auto _ : state) {
    benchmark::DoNotOptimize(lock.acquire(claim));
    lock.release(claim);
  }
  for (core::RangeClaim& one : held) lock.release(one);
}
BENCHMARK(range_lock)->Arg(0)->Arg(16)->Arg(128);

/// A write to an extent of the hot set, begun and ended on both nodes.
void warm_write(benchmark::State& state) {
  core::DirtyMap map(std::uint64_t{1} << 40, 2 << 20, 64);
  std::uint64_t offset = 0;
  for (auto _ : state) {
    const core::ExtentRange extents = map.extents_of(offset = (offset + 4096) % (32 << 20), 4096);
    benchmark::DoNotOptimize(map.begin_write(extents));
    map.end_write(extents, core::DirtyMap::Outcome::on_both);
  }
}
BENCHMARK(warm_write);

}  // namespace
