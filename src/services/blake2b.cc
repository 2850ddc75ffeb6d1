#include "services/blake2b.h"

#include <sodium.h>

#include "contract/hex.h"
#include "holdfast/error.h"

namespace holdfast {
namespace {

constexpr std::size_t kHashBytes = 32;

crypto_generichash_blake2b_state* sodium_state(unsigned char* bytes) {
  return reinterpret_cast<crypto_generichash_blake2b_state*>(bytes);
}

}  // namespace

Blake2b::Blake2b() {
  static_assert(sizeof(State) == sizeof(crypto_generichash_blake2b_state));
  static_assert(alignof(State) >= alignof(crypto_generichash_blake2b_state));
  // Chooses the fastest code for this processor; idempotent and thread-safe.
  if (sodium_init() < 0) throw Error(Code::internal, "libsodium cannot be initialised");
  crypto_generichash_blake2b_init(sodium_state(state_.bytes.data()), nullptr, 0, kHashBytes);
}

void Blake2b::add(View bytes) {
  const auto* data = reinterpret_cast<const unsigned char*>(bytes.data());
  crypto_generichash_blake2b_update(sodium_state(state_.bytes.data()), data, bytes.size());
}

Bytes Blake2b::hex() {
  std::array<unsigned char, kHashBytes> hash{};
  crypto_generichash_blake2b_final(sodium_state(state_.bytes.data()), hash.data(), hash.size());
  Bytes out;
  for (const unsigned char byte : hash) append_hex(out, static_cast<char>(byte));
  return out;
}

Bytes blake2b_hex(View bytes) {
  Blake2b hash;
  hash.add(bytes);
  return hash.hex();
}

}  // namespace holdfast
