// CRC32C (Castagnoli), the checksum of everything that the file engine writes. Uses the processor's
// instruction where there is one; the portable form gives the same numbers.
#pragma once

#include <cstdint>

#include "holdfast/types.h"

namespace holdfast::file {

/// Checksum of `data`; pass the checksum of what came before to go on from there.
std::uint32_t crc32c(View data, std::uint32_t before = 0);
/// The same without special instructions.
std::uint32_t crc32c_portable(View data, std::uint32_t before = 0);

}  // namespace holdfast::file
