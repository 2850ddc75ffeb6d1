// JSON as the API speaks it: bytes as text where they are UTF-8 and in base64 where not, positions as one
// word, objects whose members are all known.
#pragma once

#include <initializer_list>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "holdfast/types.h"
#include "server/http/message.h"

namespace holdfast::server {

using Json = nlohmann::json;

/// Throws invalid_argument for what is no JSON or is nested deeper than 64.
Json parse_json(View text);
/// Whether `text` nests deeper than 64 objects and arrays; says nothing of whether it is JSON.
bool is_nested_too_deep(View text);

/// A JSON string. What is not UTF-8 in `text` is replaced.
std::string json_quoted(View text);
bool is_utf8(View text);

std::string base64(View bytes);
/// Throws invalid_argument. `what` names the field.
Bytes from_base64(View text, View what);
/// For cursors in URLs: without padding, '-' and '_' for '+' and '/'.
std::string base64url(View bytes);
Bytes from_base64url(View text, View what);

enum class Encoding : std::uint8_t {
  automatic,  ///< text where it is UTF-8, else base64
  base64,     ///< base64 always
};
/// Sets `field`, or `field`_base64.
void set_bytes(Json& object, const char* field, View bytes, Encoding encoding = Encoding::automatic);

/// A JSON object of a request, read member by member. Every error says where it is.
class Fields {
 public:
  /// Throws invalid_argument if `json` is no object, or has a member that is not in `known` (then it names
  /// the nearest). `known` has `x` for a bytes member `x` or `x_base64`. `json` outlives this.
  Fields(const Json& json, std::string where, std::initializer_list<const char*> known,
         std::initializer_list<const char*> known_bytes = {});

  bool has(const char* field) const;
  Bytes bytes(const char* field) const;
  std::optional<Bytes> optional_bytes(const char* field) const;
  std::string text(const char* field) const;
  std::uint64_t number(const char* field) const;
  std::int64_t signed_number(const char* field) const;
  std::optional<std::int64_t> optional_signed_number(const char* field) const;
  bool flag(const char* field, bool otherwise) const;
  const Json& array(const char* field, std::size_t limit) const;
  const Json& at(const char* field) const;
  const std::string& where() const { return where_; }

 private:
  const Json& json_;
  std::string where_;
};

/// "0123456789abcdef-42": the history in hexadecimal, and the seq.
std::string text_of(const Position& position);
/// Throws invalid_argument.
Position position_of(View text);

/// An error about a request.
[[noreturn]] void refuse_request(const std::string& message);

Response json_response(const Json& json, int status = 200);

}  // namespace holdfast::server
