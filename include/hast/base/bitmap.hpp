// A bitmap of fixed size over 64-bit words, with the byte image of the activemap: bit n is byte
// n/8, bit n%8 from the least significant (on-disk §4.1), on any host.
#pragma once

#include <cstdint>
#include <vector>

#include "hast/base/bytes.hpp"

namespace hast {

class Bitmap {
 public:
  static constexpr std::uint64_t npos = ~std::uint64_t{0};

  explicit Bitmap(std::uint64_t size = 0);

  std::uint64_t size() const { return size_; }
  std::uint64_t count() const { return count_; }  // set bits, kept, not computed
  bool any() const { return count_ != 0; }

  bool test(std::uint64_t bit) const;
  bool set(std::uint64_t bit);    // true if the bit changed
  bool reset(std::uint64_t bit);  // true if the bit changed
  void set_all();
  void reset_all();

  /// The first set bit at or after `from`, npos if there is none.
  std::uint64_t find_next(std::uint64_t from) const;
  bool any_in(std::uint64_t first, std::uint64_t last) const;  // [first, last]
  void merge(const Bitmap& other);                             // same size

  /// Byte image: ceil(size/8) bytes. Import ignores bits past size() and surplus bytes; missing
  /// bytes count as zero.
  void import_bytes(ConstByteSpan image);
  /// Writes bytes [first_byte, first_byte + to.size()) of the image; bytes past its end are zero.
  void export_bytes(std::uint64_t first_byte, ByteSpan to) const;

 private:
  std::uint64_t size_;
  std::uint64_t count_ = 0;
  std::vector<std::uint64_t> words_;
};

}  // namespace hast
