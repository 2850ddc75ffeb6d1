#include "backends/redis/key_names.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "contract/hex.h"
#include "holdfast/error.h"

namespace holdfast::redis {
namespace {

constexpr char kDigits[] = "0123456789ABCDEF";

bool stays(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         View("-._~/").find(c) != View::npos;
}

}  // namespace

std::string encode_name(View name) {
  std::string encoded;
  for (const char c : name) {
    const auto byte = static_cast<unsigned char>(c);
    if (stays(c)) {
      encoded += c;
    } else {
      encoded += {'%', kDigits[byte >> 4], kDigits[byte & 15]};
    }
  }
  return encoded;
}

Bytes decode_name(View encoded) {
  Bytes name;
  for (std::size_t i = 0; i < encoded.size(); ++i) {
    if (encoded[i] != '%') {
      name += encoded[i];
      continue;
    }
    const std::size_t high = i + 1 < encoded.size() ? View(kDigits).find(encoded[i + 1]) : View::npos;
    const std::size_t low = i + 2 < encoded.size() ? View(kDigits).find(encoded[i + 2]) : View::npos;
    if (high == View::npos || low == View::npos) {
      throw Error(Code::corruption, "a registry of databases holds something that is not a name");
    }
    name += static_cast<char>(high * 16 + low);
    i += 2;
  }
  return name;
}

std::string KeyNames::tagged(std::size_t tag) const { return prefix_ + "{" + tag_text(tag) + "}"; }

std::string KeyNames::tag_text(std::size_t tag) {
  std::string text;
  append_hex(text, static_cast<char>(tag));
  return text;
}

std::size_t KeyNames::tag_of(View database) { return XXH3_64bits(database.data(), database.size()) % kTags; }

DatabaseKeys KeyNames::of(View database) const {
  const std::size_t tag = tag_of(database);
  DatabaseKeys result;
  result.tag = tag;
  result.encoded_name = encode_name(database);
  result.base = tagged(tag) + result.encoded_name;
  result.keys = {result.base + ":head",
                 result.base + ":entries",
                 result.base + ":order",
                 result.base + ":log",
                 result.base + ":expiry",
                 result.base + ":sessions",
                 names(tag),
                 due(tag)};
  return result;
}

}  // namespace holdfast::redis
