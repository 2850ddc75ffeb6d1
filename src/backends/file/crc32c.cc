#include "backends/file/crc32c.h"

#include <array>
#include <bit>
#include <cstring>

#if defined(__ARM_FEATURE_CRC32)
#include <arm_acle.h>
#endif

namespace holdfast::file {
namespace {

static_assert(std::endian::native == std::endian::little, "the file format is little-endian, and so are we");

using Table = std::array<std::array<std::uint32_t, 256>, 8>;

/// Slicing by eight: table[k] advances a byte by k further bytes.
constexpr Table make_table() {
  constexpr std::uint32_t kReversedPolynomial = 0x82F63B78u;
  Table table{};
  for (std::uint32_t byte = 0; byte < 256; ++byte) {
    std::uint32_t crc = byte;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? kReversedPolynomial : 0);
    table[0][byte] = crc;
  }
  for (std::uint32_t byte = 0; byte < 256; ++byte) {
    for (std::size_t k = 1; k < 8; ++k) {
      table[k][byte] = (table[k - 1][byte] >> 8) ^ table[0][table[k - 1][byte] & 0xFF];
    }
  }
  return table;
}

constexpr Table kTable = make_table();

std::uint64_t load64(const char* at) {
  std::uint64_t word = 0;
  std::memcpy(&word, at, sizeof word);
  return word;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) std::uint32_t crc32c_instruction(View data, std::uint32_t before) {
  std::uint64_t crc = ~before;
  const char* at = data.data();
  std::size_t left = data.size();
  for (; left >= 8; at += 8, left -= 8) crc = __builtin_ia32_crc32di(crc, load64(at));
  auto small = static_cast<std::uint32_t>(crc);
  for (; left != 0; ++at, --left) small = __builtin_ia32_crc32qi(small, static_cast<unsigned char>(*at));
  return ~small;
}

const bool kHasInstruction = __builtin_cpu_supports("sse4.2") != 0;
#elif defined(__ARM_FEATURE_CRC32)
std::uint32_t crc32c_instruction(View data, std::uint32_t before) {
  std::uint32_t crc = ~before;
  const char* at = data.data();
  std::size_t left = data.size();
  for (; left >= 8; at += 8, left -= 8) crc = __crc32cd(crc, load64(at));
  for (; left != 0; ++at, --left) crc = __crc32cb(crc, static_cast<unsigned char>(*at));
  return ~crc;
}

constexpr bool kHasInstruction = true;
#else
std::uint32_t crc32c_instruction(View data, std::uint32_t before) { return crc32c_portable(data, before); }

constexpr bool kHasInstruction = false;
#endif

}  // namespace

std::uint32_t crc32c_portable(View data, std::uint32_t before) {
  std::uint32_t crc = ~before;
  const char* at = data.data();
  std::size_t left = data.size();
  for (; left >= 8; at += 8, left -= 8) {
    const std::uint64_t word = load64(at) ^ crc;
    crc = 0;
    for (std::size_t byte = 0; byte < 8; ++byte) crc ^= kTable[7 - byte][(word >> (8 * byte)) & 0xFF];
  }
  for (; left != 0; ++at, --left)
    crc = (crc >> 8) ^ kTable[0][(crc ^ static_cast<unsigned char>(*at)) & 0xFF];
  return ~crc;
}

std::uint32_t crc32c(View data, std::uint32_t before) {
  return kHasInstruction ? crc32c_instruction(data, before) : crc32c_portable(data, before);
}

}  // namespace holdfast::file
