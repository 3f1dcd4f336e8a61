#include "hast/wire/checksum.hpp"

#include <openssl/evp.h>

#include <memory>

#include "crc32.hpp"
#include "hast/base/assert.hpp"

namespace hast::wire {
namespace {

/// One context a thread: OpenSSL's one-shot calls fetch the digest and allocate a context each
/// time.
class Sha256 {
 public:
  Sha256() : context_(EVP_MD_CTX_new()) {
    HAST_ASSERT(context_ && EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr) == 1);
  }

  void sum(ConstByteSpan bytes, Hash& hash) {
    // Without a type the context starts anew with the digest that it has.
    HAST_ASSERT(EVP_DigestInit_ex(context_.get(), nullptr, nullptr) == 1);
    HAST_ASSERT(EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size()) == 1);
    HAST_ASSERT(EVP_DigestFinal_ex(context_.get(), reinterpret_cast<unsigned char*>(hash.data()),
                                   nullptr) == 1);
  }

 private:
  struct Free {
    void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
  };
  std::unique_ptr<EVP_MD_CTX, Free> context_;
};

}  // namespace

std::size_t hash_bytes(Checksum checksum) {
  switch (checksum) {
    case Checksum::none:
      return 0;
    case Checksum::crc32:
      return 4;
    case Checksum::sha256:
      return 32;
  }
  return 0;
}

Hash hash_of(Checksum checksum, ConstByteSpan bytes) {
  Hash hash{};
  if (checksum == Checksum::crc32) store_le(hash.data(), crc32_of(bytes));
  if (checksum == Checksum::sha256) {
    thread_local Sha256 sha256;
    sha256.sum(bytes, hash);
  }
  return hash;
}

}  // namespace hast::wire
