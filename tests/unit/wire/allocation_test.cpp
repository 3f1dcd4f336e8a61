// The data path allocates nothing. operator new is counted, and so is OpenSSL's allocator: version
// 3.0 takes a new digest state for each sum through EVP, which is its business, but no more.
#include <openssl/crypto.h>

#include <atomic>
#include <cstdlib>
#include <new>
#include <vector>

#include "hast/wire/request.hpp"
#include "support/catch.hpp"

namespace {

std::atomic<long> allocations{0};
std::atomic<long> crypto_allocations{0};

void* counted_crypto(std::size_t size, const char*, int) {
  ++crypto_allocations;
  return std::malloc(size == 0 ? 1 : size);
}
void* counted_crypto_again(void* old, std::size_t size, const char*, int) {
  ++crypto_allocations;
  return std::realloc(old, size);
}
void free_crypto(void* memory, const char*, int) { std::free(memory); }

// Before main, since OpenSSL takes an allocator only until its first allocation.
const bool crypto_is_counted =
    CRYPTO_set_mem_functions(counted_crypto, counted_crypto_again, free_crypto) == 1;

}  // namespace

void* operator new(std::size_t size) {
  ++allocations;
  if (void* memory = std::malloc(size == 0 ? 1 : size)) return memory;
  throw std::bad_alloc();
}
void* operator new[](std::size_t size) { return operator new(size); }
void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  ++allocations;
  return std::malloc(size == 0 ? 1 : size);
}
void* operator new[](std::size_t size, const std::nothrow_t& tag) noexcept {
  return operator new(size, tag);
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete[](void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::size_t) noexcept { std::free(memory); }

using namespace hast;
using namespace hast::wire;

namespace {

using Bytes = std::vector<std::byte>;

struct Buffers {
  Bytes data = Bytes(131072, std::byte{'a'});
  Bytes scratch = Bytes(131072);
  Bytes frame = Bytes(kMaxEncodedBytes);
  Bytes into = Bytes(131072);
};

/// One write there and its reply back, through every codec; true if all went well.
bool round_trip(Buffers& b, const PayloadOptions& options) {
  const EncodedPayload payload = encode_payload(b.data, options, b.scratch);
  const std::size_t size =
      encode(Request{Command::write, 7, 4096, b.data.size(), true, payload.info}, 2, b.frame);
  const ConstByteSpan sent = ConstByteSpan(b.frame).first(size);
  const auto header = decode_frame_header(sent.first(kFrameHeaderBytes));
  const auto nv = NvReader::parse(sent.subspan(kFrameHeaderBytes));
  if (!header || !nv) return false;
  const auto request = decode_request(*nv);
  if (!request || !decode_payload(request->payload, payload.bytes, b.into)) return false;
  const std::size_t reply_size = encode(Reply{request->seq, false, 0, {}}, 2, b.frame);
  const auto reply_nv =
      NvReader::parse(ConstByteSpan(b.frame).first(reply_size).subspan(kFrameHeaderBytes));
  return reply_nv && decode_reply(*reply_nv) && b.into == b.data;
}

}  // namespace

TEST_CASE("a write and its reply allocate nothing, whatever the algorithms") {
  REQUIRE(crypto_is_counted);
  Buffers buffers;
  for (const auto checksum : {Checksum::none, Checksum::crc32, Checksum::sha256})
    for (const auto compression : {Compression::none, Compression::hole, Compression::lzf}) {
      const PayloadOptions options{checksum, compression};
      REQUIRE(round_trip(buffers, options));  // a thread's first sha256 may set up its context
      const long before = allocations, crypto_before = crypto_allocations;
      const bool good = round_trip(buffers, options);
      const long during = allocations - before, crypto = crypto_allocations - crypto_before;
      CHECK(good);
      CHECK(during == 0);
      CHECK(crypto <= (checksum == Checksum::sha256 ? 2 : 0));  // one to send, one to receive
    }
}

TEST_CASE("the counter counts") {
  const long before = allocations;
  const Bytes one(1);
  CHECK(allocations > before);
  const long crypto_before = crypto_allocations;
  OPENSSL_free(OPENSSL_malloc(16));
  CHECK(crypto_allocations > crypto_before);
}
