#include "server/json.h"

#include <sodium.h>

#include <charconv>
#include <vector>

#include "contract/hex.h"
#include "contract/url.h"
#include "holdfast/error.h"

namespace holdfast::server {
namespace {

constexpr int kDepth = 64;

std::string encoded(View bytes, int variant) {
  std::string text(sodium_base64_encoded_len(bytes.size(), variant), '\0');
  sodium_bin2base64(text.data(), text.size(), reinterpret_cast<const unsigned char*>(bytes.data()),
                    bytes.size(), variant);
  text.pop_back();  // the terminating NUL
  return text;
}

Bytes decoded(View text, int variant, View what) {
  Bytes bytes(text.size() / 4 * 3 + 3, '\0');
  std::size_t size = 0;
  const char* end = nullptr;
  const int failed = sodium_base642bin(reinterpret_cast<unsigned char*>(bytes.data()), bytes.size(),
                                       text.data(), text.size(), nullptr, &size, &end, variant);
  if (failed != 0 || end != text.data() + text.size()) refuse_request(std::string(what) + " is not base64");
  bytes.resize(size);
  return bytes;
}

}  // namespace

void refuse_request(const std::string& message) { throw Error(Code::invalid_argument, message); }

bool is_nested_too_deep(View text) {
  int depth = 0;
  bool in_string = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '{' || c == '[') {
      if (++depth > kDepth) return true;
    } else if (c == '}' || c == ']') {
      --depth;
    }
  }
  return false;
}

Json parse_json(View text) {
  if (is_nested_too_deep(text)) {
    refuse_request("the JSON of the body is nested deeper than " + std::to_string(kDepth));
  }
  try {
    return Json::parse(text);
  } catch (const Json::parse_error& error) {
    refuse_request("the body is not JSON, at byte " + std::to_string(error.byte));
  } catch (const Json::exception&) {
    refuse_request("the body has a number that is too large");
  }
}

std::string json_quoted(View text) {
  return Json(std::string(text)).dump(-1, ' ', false, Json::error_handler_t::replace);
}

bool is_utf8(View text) {
  std::size_t i = 0;
  while (i < text.size()) {
    const auto byte = static_cast<unsigned char>(text[i]);
    if (byte < 0x80) {
      ++i;
      continue;
    }
    const std::size_t more = byte >= 0xf0 ? 3 : byte >= 0xe0 ? 2 : 1;
    if (byte < 0xc2 || byte > 0xf4 || text.size() - i <= more) return false;
    std::uint32_t point = byte & (0x3fu >> more);
    for (std::size_t k = 1; k <= more; ++k) {
      const auto next = static_cast<unsigned char>(text[i + k]);
      if ((next & 0xc0) != 0x80) return false;
      point = point << 6 | (next & 0x3f);
    }
    if ((more == 2 && (point < 0x800 || (point >= 0xd800 && point < 0xe000))) ||
        (more == 3 && (point < 0x10000 || point > 0x10ffff))) {
      return false;
    }
    i += more + 1;
  }
  return true;
}

std::string base64(View bytes) { return encoded(bytes, sodium_base64_VARIANT_ORIGINAL); }
Bytes from_base64(View text, View what) { return decoded(text, sodium_base64_VARIANT_ORIGINAL, what); }
std::string base64url(View bytes) { return encoded(bytes, sodium_base64_VARIANT_URLSAFE_NO_PADDING); }
Bytes from_base64url(View text, View what) {
  return decoded(text, sodium_base64_VARIANT_URLSAFE_NO_PADDING, what);
}

void set_bytes(Json& object, const char* field, View bytes, Encoding encoding) {
  if (encoding == Encoding::automatic && is_utf8(bytes)) {
    object[field] = std::string(bytes);
  } else {
    object[std::string(field) + "_base64"] = base64(bytes);
  }
}

Fields::Fields(const Json& json, std::string where, std::initializer_list<const char*> known,
               std::initializer_list<const char*> known_bytes)
    : json_(json), where_(std::move(where)) {
  if (!json.is_object()) refuse_request(where_ + " is not a JSON object");
  std::vector<std::string> words(known.begin(), known.end());
  for (const char* field : known_bytes) {
    words.emplace_back(field);
    words.push_back(std::string(field) + "_base64");
  }
  for (const auto& [name, value] : json.items()) {
    if (std::find(words.begin(), words.end(), name) == words.end()) {
      refuse_request(unknown_word("member", name, " of " + where_, words));
    }
  }
}

bool Fields::has(const char* field) const { return json_.contains(field); }

std::optional<Bytes> Fields::optional_bytes(const char* field) const {
  const auto text = json_.find(field);
  const auto encoded_text = json_.find(std::string(field) + "_base64");
  const std::string name = "\"" + std::string(field) + "\" of " + where_;
  if (text != json_.end() && encoded_text != json_.end()) {
    refuse_request(name + " is there twice, as text and in base64");
  }
  if (text != json_.end()) {
    if (!text->is_string()) refuse_request(name + " is not a string");
    return text->get<std::string>();
  }
  if (encoded_text == json_.end()) return std::nullopt;
  if (!encoded_text->is_string()) refuse_request(name + "_base64 is not a string");
  return from_base64(encoded_text->get_ref<const std::string&>(), name);
}

Bytes Fields::bytes(const char* field) const {
  std::optional<Bytes> bytes = optional_bytes(field);
  if (!bytes) {
    refuse_request(where_ + " has no \"" + field + "\" (or \"" + field + "_base64\")");
  }
  return std::move(*bytes);
}

const Json& Fields::at(const char* field) const {
  const auto found = json_.find(field);
  if (found == json_.end()) refuse_request(where_ + " has no \"" + field + "\"");
  return *found;
}

std::string Fields::text(const char* field) const {
  const Json& value = at(field);
  if (!value.is_string()) refuse_request("\"" + std::string(field) + "\" of " + where_ + " is not a string");
  return value.get<std::string>();
}

std::uint64_t Fields::number(const char* field) const {
  const Json& value = at(field);
  if (!value.is_number_unsigned()) {
    refuse_request("\"" + std::string(field) + "\" of " + where_ + " is not a whole number of 0 or more");
  }
  return value.get<std::uint64_t>();
}

std::int64_t Fields::signed_number(const char* field) const {
  const Json& value = at(field);
  const bool fits = value.is_number_integer() &&
                    (!value.is_number_unsigned() || value.get<std::uint64_t>() <= std::uint64_t{INT64_MAX});
  if (!fits)
    refuse_request("\"" + std::string(field) + "\" of " + where_ + " is not a whole number of 64 bits");
  return value.get<std::int64_t>();
}

std::optional<std::int64_t> Fields::optional_signed_number(const char* field) const {
  return has(field) ? std::optional(signed_number(field)) : std::nullopt;
}

bool Fields::flag(const char* field, bool otherwise) const {
  if (!has(field)) return otherwise;
  const Json& value = at(field);
  if (!value.is_boolean()) {
    refuse_request("\"" + std::string(field) + "\" of " + where_ + " is neither true nor false");
  }
  return value.get<bool>();
}

const Json& Fields::array(const char* field, std::size_t limit) const {
  const Json& value = at(field);
  if (!value.is_array()) refuse_request("\"" + std::string(field) + "\" of " + where_ + " is not an array");
  if (value.size() > limit) {
    refuse_request("\"" + std::string(field) + "\" of " + where_ + " has " + std::to_string(value.size()) +
                   " elements; the maximum is " + std::to_string(limit));
  }
  return value;
}

std::string text_of(const Position& position) {
  return hex16(position.history) + "-" + std::to_string(position.seq);
}

Position position_of(View text) {
  Position position;
  const auto wrong = [] {
    refuse_request("a position is 16 hexadecimal digits, a '-' and a number, as the server gave it");
  };
  if (text.size() < 18 || text[16] != '-') wrong();
  const auto history = std::from_chars(text.data(), text.data() + 16, position.history, 16);
  const auto seq = std::from_chars(text.data() + 17, text.data() + text.size(), position.seq);
  if (history.ec != std::errc{} || history.ptr != text.data() + 16 || seq.ec != std::errc{} ||
      seq.ptr != text.data() + text.size()) {
    wrong();
  }
  return position;
}

Response json_response(const Json& json, int status) {
  Response response;
  response.status = status;
  response.content_type = "application/json";
  response.body = json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
  return response;
}

}  // namespace holdfast::server
