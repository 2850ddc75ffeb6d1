#include "server/payload_json.h"

#include <charconv>

#include "contract/assert.h"
#include "holdfast/limits.h"
#include "server/http/head.h"
#include "server/openapi.h"
#include "server/routes.h"
#include "server/status.h"

namespace holdfast::server {
namespace {

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

View trimmed(View text) {
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  return text;
}

/// Where the JSON value that begins at `at` ends: before the ',' or bracket after it.
std::size_t end_of_value(View text, std::size_t at) {
  int depth = 0;
  bool in_string = false;
  for (; at < text.size(); ++at) {
    const char c = text[at];
    if (in_string) {
      if (c == '\\') ++at;
      if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '[' || c == '{') {
      ++depth;
    } else if (c == ']' || c == '}') {
      if (depth-- == 0) return at;
    } else if (c == ',' && depth == 0) {
      return at;
    }
  }
  return at;
}

/// The parts between the outer brackets, at commas: the texts of an array's elements.
std::vector<View> parts_of(View text) {
  text = trimmed(text);
  HOLDFAST_ASSERT(text.size() >= 2);
  std::vector<View> parts;
  std::size_t at = 1;
  if (trimmed(text.substr(1, text.size() - 2)).empty()) return parts;
  while (at < text.size()) {
    const std::size_t end = end_of_value(text, at);
    parts.push_back(trimmed(text.substr(at, end - at)));
    at = end + 1;
  }
  return parts;
}

/// The texts of an object's members by name.
std::vector<std::pair<std::string, View>> raw_members(View text) {
  std::vector<std::pair<std::string, View>> members;
  for (const View part : parts_of(text)) {
    // The name is a string, so its end is the first quote that is not escaped.
    std::size_t quote = 1;
    while (part[quote] != '"') quote += part[quote] == '\\' ? 2 : 1;
    const std::size_t colon = part.find(':', quote);
    members.emplace_back(Json::parse(part.substr(0, quote + 1)).get<std::string>(),
                         trimmed(part.substr(colon + 1)));
  }
  return members;
}

}  // namespace

Payload payload_of_body(const Call& call) {
  const View type = call.header("Content-Type");
  const View media_type = type.substr(0, type.find_first_of("; "));
  if (equals_ignoring_case(media_type, "application/json")) return Payload::parse(call.request->body);
  return Payload::bytes(call.request->body);
}

void set_payload_body(Response& response, const Payload& payload) {
  response.content_type = payload.is_json() ? "application/json" : "application/octet-stream";
  response.body = payload.text();
}

Payload payload_of_members(View object_text, const std::string& where) {
  std::optional<View> value;
  std::optional<View> bytes;
  for (const auto& [name, text] : raw_members(object_text)) {
    if (name == "value") value = text;
    if (name == "bytes_base64") bytes = text;
  }
  if (value.has_value() == bytes.has_value()) {
    refuse_request(where + " has either \"value\", any JSON, or \"bytes_base64\"");
  }
  if (value) return Payload::parse(*value);
  const Json encoded = Json::parse(*bytes);
  if (!encoded.is_string()) refuse_request("\"bytes_base64\" of " + where + " is not a string");
  return Payload::bytes(from_base64(encoded.get_ref<const std::string&>(), "\"bytes_base64\" of " + where));
}

namespace {

/// Calls take(fields, payload) for each element.
template <class F>
void read_payloads(const Call& call, const char* member, std::size_t limit,
                   std::initializer_list<const char*> known, std::initializer_list<const char*> known_bytes,
                   F take) {
  const Json body = call.json_body();
  const Json& elements = Fields(body, "the body", {member}).array(member, limit);
  View elements_text;
  for (const auto& [name, text] : raw_members(call.request->body)) {
    if (name == member) elements_text = text;
  }
  const std::vector<View> texts = parts_of(elements_text);
  for (std::size_t i = 0; i < elements.size(); ++i) {
    const std::string where = "element " + std::to_string(i) + " of \"" + member + "\"";
    const Fields fields(elements[i], where, known, known_bytes);
    take(fields, payload_of_members(texts[i], where));
  }
}

}  // namespace

std::vector<std::pair<Bytes, Payload>> keyed_payloads_of_body(const Call& call, const char* member,
                                                              std::size_t limit) {
  std::vector<std::pair<Bytes, Payload>> pairs;
  read_payloads(call, member, limit, {"value", "bytes_base64"}, {"key"},
                [&](const Fields& fields, Payload payload) {
                  pairs.emplace_back(fields.bytes("key"), std::move(payload));
                });
  return pairs;
}

std::vector<Payload> payloads_of_body(const Call& call, const char* member, std::size_t limit) {
  std::vector<Payload> payloads;
  read_payloads(call, member, limit, {"value", "bytes_base64"}, {},
                [&](const Fields&, Payload payload) { payloads.push_back(std::move(payload)); });
  return payloads;
}

void read_payloads_of_body(const Call& call, const char* member, std::size_t limit,
                           std::initializer_list<const char*> known,
                           const std::function<void(const Fields&, Payload)>& take) {
  read_payloads(call, member, limit, known, {}, take);
}

std::vector<Bytes> keys_of_body(const Call& call) {
  const Json body = call.json_body();
  const Fields fields(body, "the body", {"keys", "keys_base64"});
  if (fields.has("keys") == fields.has("keys_base64")) {
    refuse_request("the body has either \"keys\" or \"keys_base64\"");
  }
  const bool is_text = fields.has("keys");
  std::vector<Bytes> keys;
  for (const Json& key : fields.array(is_text ? "keys" : "keys_base64", limits::kReadGets)) {
    if (!key.is_string()) refuse_request("a key is not a string");
    const auto& text = key.get_ref<const std::string&>();
    keys.push_back(is_text ? text : from_base64(text, "a key"));
  }
  return keys;
}

std::string with_payload(const Json& object, const Payload& payload) {
  std::string text = object.dump(-1, ' ', false, Json::error_handler_t::replace);
  text.pop_back();
  if (text.size() > 1) text += ',';
  if (payload.is_json()) {
    text.append("\"value\":").append(payload.text());
  } else {
    text.append("\"bytes_base64\":\"").append(base64(payload.text())).append("\"");
  }
  return text + "}";
}

std::vector<std::pair<std::string, Json>> payload_members() {
  return {{"value", {{"description", "A JSON document, kept as it was given"}}},
          {"bytes_base64",
           {{"type", "string"},
            {"contentEncoding", "base64"},
            {"description", "Raw bytes, if it is no document"}}}};
}

std::vector<std::pair<std::string, Json>> keyed_payload_members() {
  auto members = bytes_members("key", "The key");
  for (auto& member : payload_members()) members.push_back(std::move(member));
  return members;
}

void describe_payload_answer(Route& route) {
  route.mode = Plan::Mode::quick;
  route.answers = {{200, "The document, or the bytes.", "application/json, application/octet-stream"}};
}

void describe_payload_body(Route& route) {
  route.body_limit_bytes = kPayloadBodyBytes;
  route.body = Body{"*/*", {}, "The value, of any type, up to 64 MiB."};
}

void describe_keyed_payloads_body(Route& route, const char* member) {
  route.body_limit_bytes = kJsonBodyBytes;
  const Json element = object_schema(keyed_payload_members(), {});
  route.body = Body{"application/json", object_schema({{member, array_schema(element)}}, {member}),
                    "Keys and values, up to 8 MiB."};
}

std::vector<Parameter> list_parameters(bool has_prefix) {
  std::vector<Parameter> parameters = {{"limit", integer_schema(1), "1 to 1,000, 100 without it."},
                                       {"cursor", text_schema(), "Where the last page ended."},
                                       {"reverse", boolean_schema(), "Descending."}};
  if (has_prefix) parameters.push_back({"prefix", text_schema(), "Only what begins with it."});
  return parameters;
}

Bytes cursor_of(const Call& call) { return from_base64url(call.query("cursor").value_or(""), "the cursor"); }

ListOptions list_options_of(const Call& call, bool has_prefix) {
  ListOptions options;
  if (has_prefix) options.prefix = Bytes(call.query("prefix").value_or(""));
  options.cursor = cursor_of(call);
  options.limit = call.number("limit", 100, 1, limits::kListItems);
  options.reverse = call.flag("reverse");
  return options;
}

Response listing_response(std::span<const std::string> items, const Bytes& cursor) {
  Response response;
  response.content_type = "application/json";
  std::string& body = response.body;
  body = "{\"items\":[";
  for (const std::string& item : items) body.append(&item == items.data() ? "" : ",").append(item);
  body += "]";
  // The services' cursors are opaque bytes to us.
  if (!cursor.empty()) body.append(",\"cursor\":\"").append(base64url(cursor)).append("\"");
  body += "}\n";
  return response;
}

Response page_response(std::span<const std::string> items, std::size_t asked) {
  Response response = listing_response(items, {});
  if (items.size() == asked) return response;
  response.body.resize(response.body.size() - 2);
  response.body += ",\"left\":" + std::to_string(asked - items.size()) + "}\n";
  return response;
}

void describe_page(Route& route, Json item) {
  route.body_limit_bytes = kJsonBodyBytes;
  route.body =
      Body{"application/json",
           object_schema(
               {{"keys", array_schema(text_schema())}, {"keys_base64", array_schema(text_schema())}}, {}),
           "Up to 1,000 keys, all as text or all in base64."};
  route.answers = {
      {200,
       "In the order of the keys, null for those that are not there, all of one snapshot. When the values "
       "come to "
       "8 MiB the answer ends: left is the number of keys at the end of the list that are to be asked for "
       "again.",
       "application/json",
       object_schema(
           {{"items", array_schema({{"oneOf", Json::array({std::move(item), {{"type", "null"}}})}})},
            {"left", integer_schema(1)}},
           {"items"})}};
}

Json listing_schema(Json item) {
  return object_schema({{"items", array_schema(std::move(item))}, {"cursor", text_schema()}}, {"items"});
}

std::optional<std::uint64_t> if_match_of(const Call& call) {
  const View text = call.header("If-Match");
  if (text.empty()) return std::nullopt;
  std::uint64_t version = 0;
  const bool is_quoted = text.size() > 2 && text.front() == '"' && text.back() == '"';
  const View digits = is_quoted ? text.substr(1, text.size() - 2) : View();
  const auto [end, problem] = std::from_chars(digits.data(), digits.data() + digits.size(), version);
  if (!is_quoted || problem != std::errc{} || end != digits.data() + digits.size()) {
    refuse_request("If-Match is one version in quotes, as ETag has it");
  }
  return version;
}

bool is_if_none_match(const Call& call) {
  const View text = call.header("If-None-Match");
  if (text.empty()) return false;
  if (text != "*") refuse_request("If-None-Match of a change is *; a version goes into If-Match");
  return true;
}

Parameter if_match_parameter() {
  return {"If-Match", text_schema(), "A version in quotes, as ETag has it: only if it is that one.", true};
}

Parameter if_none_match_parameter() {
  return {"If-None-Match", text_schema(), "*: only if there is none.", true};
}

void precondition_failed() {
  throw HttpError(412, "it is not as If-Match or If-None-Match wants it; read it again");
}

}  // namespace holdfast::server
