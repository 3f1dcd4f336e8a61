#include "hast/base/generations.hpp"

#include <algorithm>

namespace hast {

bool Generations::contains(std::uint64_t id) const {
  if (id == 0 || id == kUntracked) return false;
  return id == current || id == synced || std::find(past.begin(), past.end(), id) != past.end();
}

void Generations::begin(std::uint64_t id) {
  if (current != 0) {
    std::copy_backward(past.begin(), past.end() - 1, past.end());
    past.front() = current;
  }
  current = id;
}

std::array<std::byte, kGenerationsBytes> encode_generations(const Generations& generations) {
  std::array<std::byte, kGenerationsBytes> bytes{};
  std::byte* at = bytes.data();
  auto put = [&at](std::uint64_t id) {
    store_le(at, id);
    at += sizeof id;
  };
  put(generations.current);
  put(generations.synced);
  for (const std::uint64_t id : generations.past) put(id);
  return bytes;
}

std::optional<Generations> decode_generations(ConstByteSpan bytes) {
  if (bytes.size() != kGenerationsBytes) return std::nullopt;
  const std::byte* at = bytes.data();
  auto take = [&at] {
    const auto id = load_le<std::uint64_t>(at);
    at += sizeof id;
    return id;
  };
  Generations generations;
  generations.current = take();
  generations.synced = take();
  for (std::uint64_t& id : generations.past) id = take();
  return generations;
}

}  // namespace hast
