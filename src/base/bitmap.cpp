#include "hast/base/bitmap.hpp"

#include <algorithm>
#include <bit>

#include "hast/base/assert.hpp"

namespace hast {
namespace {

constexpr std::uint64_t kWordBits = 64;
constexpr std::uint64_t kAllOnes = ~std::uint64_t{0};

constexpr std::uint64_t words_for(std::uint64_t bits) {
  return bits / kWordBits + (bits % kWordBits != 0 ? 1 : 0);
}
constexpr std::uint64_t mask_of(std::uint64_t bit) { return std::uint64_t{1} << (bit % kWordBits); }

// The valid bits of the last word of a bitmap of `size` bits, size > 0.
constexpr std::uint64_t tail_mask(std::uint64_t size) {
  return size % kWordBits == 0 ? kAllOnes : mask_of(size) - 1;
}

std::uint64_t count_bits(const std::vector<std::uint64_t>& words) {
  std::uint64_t total = 0;
  for (std::uint64_t word : words) total += static_cast<std::uint64_t>(std::popcount(word));
  return total;
}

}  // namespace

Bitmap::Bitmap(std::uint64_t size) : size_(size), words_(words_for(size), 0) {}

bool Bitmap::test(std::uint64_t bit) const {
  HAST_ASSERT(bit < size_);
  return (words_[bit / kWordBits] & mask_of(bit)) != 0;
}

bool Bitmap::set(std::uint64_t bit) {
  if (test(bit)) return false;
  words_[bit / kWordBits] |= mask_of(bit);
  ++count_;
  return true;
}

bool Bitmap::reset(std::uint64_t bit) {
  if (!test(bit)) return false;
  words_[bit / kWordBits] &= ~mask_of(bit);
  --count_;
  return true;
}

void Bitmap::set_all() {
  std::fill(words_.begin(), words_.end(), kAllOnes);
  if (size_ != 0) words_.back() &= tail_mask(size_);
  count_ = size_;
}

void Bitmap::reset_all() {
  std::fill(words_.begin(), words_.end(), 0);
  count_ = 0;
}

std::uint64_t Bitmap::find_next(std::uint64_t from) const {
  if (from >= size_ || count_ == 0) return npos;
  std::uint64_t at = from / kWordBits;
  std::uint64_t word = words_[at] & ~(mask_of(from) - 1);
  while (word == 0) {
    if (++at == words_.size()) return npos;
    word = words_[at];
  }
  return at * kWordBits + static_cast<std::uint64_t>(std::countr_zero(word));
}

bool Bitmap::any_in(std::uint64_t first, std::uint64_t last) const {
  HAST_ASSERT(first <= last && last < size_);
  return find_next(first) <= last;
}

void Bitmap::merge(const Bitmap& other) {
  HAST_ASSERT(other.size_ == size_);
  for (std::size_t i = 0; i < words_.size(); ++i) words_[i] |= other.words_[i];
  count_ = count_bits(words_);
}

void Bitmap::import_bytes(ConstByteSpan image) {
  std::fill(words_.begin(), words_.end(), 0);
  const std::uint64_t used = std::min<std::uint64_t>(image.size(), size_ / 8 + (size_ % 8 ? 1 : 0));
  const std::uint64_t whole = used / 8;
  for (std::uint64_t i = 0; i < whole; ++i) words_[i] = load_le<std::uint64_t>(&image[i * 8]);
  for (std::uint64_t i = whole * 8; i < used; ++i)
    words_[i / 8] |= std::to_integer<std::uint64_t>(image[i]) << (i % 8 * 8);
  if (size_ != 0) words_.back() &= tail_mask(size_);
  count_ = count_bits(words_);
}

void Bitmap::export_bytes(std::uint64_t first_byte, ByteSpan to) const {
  std::uint64_t at = first_byte;
  std::size_t done = 0;
  while (done < to.size() && at / 8 < words_.size()) {
    if (at % 8 == 0 && to.size() - done >= 8) {
      store_le(&to[done], words_[at / 8]);
      at += 8;
      done += 8;
    } else {
      to[done++] = static_cast<std::byte>(words_[at / 8] >> (at % 8 * 8));
      ++at;
    }
  }
  std::fill(to.begin() + static_cast<std::ptrdiff_t>(done), to.end(), std::byte{0});
}

}  // namespace hast
