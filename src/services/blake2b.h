// BLAKE2b (RFC 7693) with 32 bytes of output.
#pragma once

#include <array>
#include <cstddef>

#include "holdfast/types.h"

namespace holdfast {

class Blake2b {
 public:
  Blake2b();
  void add(View bytes);
  /// 64 lower-case hexadecimal digits. Ends the hash.
  Bytes hex();

 private:
  /// Of libsodium, which aligns it like this.
  struct alignas(64) State {
    std::array<unsigned char, 384> bytes;
  };
  State state_;
};

Bytes blake2b_hex(View bytes);

}  // namespace holdfast
