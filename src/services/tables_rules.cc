#include "services/tables_rules.h"

#include <cstddef>

#include "holdfast/error.h"
#include "services/json_text.h"

namespace holdfast {
namespace {

constexpr std::size_t kTableNameUnits = 255;
constexpr std::size_t kKeyUnits = 1'024;

/// What JavaScript calls the length of a text, which has to be UTF-8.
std::size_t utf16_length(View text) {
  std::size_t units = 0;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if ((byte & 0xC0) != 0x80) ++units;  // one for each code point
    if (byte >= 0xF0) ++units;           // and another where there are two surrogates
  }
  return units;
}

void require(bool holds, const Bytes& message) {
  if (!holds) throw Error(Code::invalid_argument, message);
}

/// Names that mean devices on some systems, where a table could not be exported to a file.
bool is_reserved(View name) {
  Bytes upper;
  for (const char c : name) upper += c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  if (upper == "CON" || upper == "PRN" || upper == "AUX" || upper == "NUL") return true;
  const bool is_port = upper.size() == 4 && (upper.starts_with("COM") || upper.starts_with("LPT"));
  return is_port && upper[3] >= '1' && upper[3] <= '9';
}

}  // namespace

void validate_table_name(View name) {
  require(!name.empty() && is_utf8(name), "Table name must be a non-empty string");
  require(utf16_length(name) <= kTableNameUnits, "Table name must not exceed 255 characters");
  require(name.find_first_of("/\\") == View::npos, "Table name must not contain path separators");
  require(name.find("..") == View::npos, "Table name must not contain \"..\"");
  require(name.front() != '.', "Table name must not start with \".\"");
  require(name.find('\0') == View::npos, "Table name must not contain null bytes");
  require(!is_reserved(name), "Table name \"" + Bytes(name) + "\" is reserved by the filesystem");
}

void validate_table_key(View key) {
  require(key.data() != nullptr, "Key must be defined");
  require(is_utf8(key), "Key must be a string");
  require(!key.empty(), "Key must not be empty");
  require(utf16_length(key) <= kKeyUnits, "Key must not exceed 1024 characters");
  require(key.find('\0') == View::npos, "Key must not contain null bytes");
}

void validate_dictionary_name(View name) {
  require(!name.empty() && is_utf8(name), "Dictionary name must be a non-empty string");
  require(utf16_length(name) <= kTableNameUnits, "Dictionary name must not exceed 255 characters");
  require(name.find('\0') == View::npos, "Dictionary name must not contain null bytes");
}

}  // namespace holdfast
