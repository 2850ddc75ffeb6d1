// The service blobs: bytes of any size, streamed in both directions, with ranges.
#include <charconv>

#include "holdfast/blobs.h"
#include "server/http/head.h"
#include "server/openapi.h"
#include "server/payload_json.h"
#include "server/routes.h"
#include "server/status.h"

namespace holdfast::server {
namespace {

Json json_of(const BlobInfo& info) {
  Json json = {{"size_bytes", info.size_bytes},
               {"hash", info.hash},
               {"content_type", info.content_type},
               {"metadata", info.metadata.json()},
               {"created_at_ms", info.created_at_ms},
               {"updated_at_ms", info.updated_at_ms},
               {"version", info.version}};
  set_bytes(json, "key", info.key);
  return json;
}

struct ByteRange {
  std::uint64_t begin = 0;
  std::uint64_t size_bytes = 0;
};

std::optional<std::uint64_t> number_of(View digits) {
  std::uint64_t number = 0;
  const auto [end, problem] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  if (digits.empty() || problem != std::errc{} || end != digits.data() + digits.size()) return std::nullopt;
  return number;
}

/// The one range that a Range field asks for. Nothing for none, for what is no range, and for several, all of
/// which may be answered by the whole. Throws 416.
std::optional<ByteRange> range_of(View field, std::uint64_t size_bytes) {
  constexpr View kUnit = "bytes=";
  if (!field.starts_with(kUnit)) return std::nullopt;
  field.remove_prefix(kUnit.size());
  const std::size_t dash = field.find('-');
  if (dash == View::npos) return std::nullopt;
  const auto first = number_of(field.substr(0, dash));
  const auto last = number_of(field.substr(dash + 1));
  const bool has_last = dash + 1 < field.size();
  const bool is_suffix = dash == 0;
  if ((has_last && !last) || (!is_suffix && !first) || (is_suffix && !last)) return std::nullopt;
  if (!is_suffix && last && *last < *first) return std::nullopt;
  const std::uint64_t begin = is_suffix ? size_bytes - std::min(*last, size_bytes) : *first;
  if (begin >= size_bytes || (is_suffix && *last == 0)) {
    throw HttpError(416,
                    "the blob has " + std::to_string(size_bytes) + " bytes; the range begins behind them",
                    {{"Content-Range", "bytes */" + std::to_string(size_bytes)}});
  }
  const std::uint64_t end = is_suffix || !last ? size_bytes : std::min(*last, size_bytes - 1) + 1;
  return ByteRange{begin, end - begin};
}

[[noreturn]] void not_there() { throw Error(Code::not_found, "there is no such blob"); }

Response get_blob(Call& call) {
  const Blobs blobs(call.database());
  for (int attempt = 0; attempt < 5; ++attempt) {
    const auto info = blobs.stat(call.path("key"));
    if (!info) not_there();
    const std::string etag = etag_of(info->version);
    Response response;
    response.headers = {{"ETag", etag},
                        {"Accept-Ranges", "bytes"},
                        {"Holdfast-Hash", info->hash},
                        // A page that somebody stored must not act in the name of this server.
                        {"X-Content-Type-Options", "nosniff"},
                        {"Content-Security-Policy", "sandbox; default-src 'none'"}};
    response.content_type = info->content_type;
    if (call.header("If-None-Match") == etag) {
      response.status = 304;
      return response;
    }
    const View if_range = call.header("If-Range");
    const auto range = if_range.empty() || if_range == etag ? range_of(call.header("Range"), info->size_bytes)
                                                            : std::nullopt;
    BlobReadOptions options;
    response.source_size_bytes = info->size_bytes;
    if (range) {
      options.offset = range->begin;
      options.size_bytes = range->size_bytes;
      response.status = 206;
      response.source_size_bytes = range->size_bytes;
      response.headers.emplace_back("Content-Range",
                                    "bytes " + std::to_string(range->begin) + "-" +
                                        std::to_string(range->begin + range->size_bytes - 1) + "/" +
                                        std::to_string(info->size_bytes));
    }
    auto reader = blobs.open(call.path("key"), options);
    if (!reader) not_there();
    // Replaced since the look at its size.
    if (reader->info().version != info->version) continue;
    response.source = [reader = std::make_shared<BlobReader>(std::move(*reader))] { return reader->next(); };
    return response;
  }
  throw Error(Code::conflict, "others replace this blob all the time; try again");
}

Response size_and_hash(const std::optional<BlobInfo>& info) {
  if (!info) not_there();
  return json_response({{"size_bytes", info->size_bytes}, {"hash", info->hash}});
}

Response put_blob(Call& call) {
  BlobPutOptions options;
  const View type = call.header("Content-Type");
  if (!type.empty()) options.content_type = Bytes(type);
  const View metadata = call.header("Holdfast-Metadata");
  if (!metadata.empty()) options.metadata = Payload::parse(metadata);
  const View hash = call.header("Holdfast-Hash");
  if (!hash.empty()) options.hash = Bytes(hash);
  options.only_if_absent = is_if_none_match(call);
  options.only_if_version = if_match_of(call);
  options.size_bytes = number_of(call.header("Content-Length"));
  BodyReader& body = *call.request->body_reader;
  const auto info = Blobs(call.database()).put(call.path("key"), [&body] { return body.read(); }, options);
  if (!info) precondition_failed();
  return size_and_hash(info);
}

Response erase_blob(Call& call) {
  const auto version = if_match_of(call);
  const bool erased = Blobs(call.database()).erase(call.path("key"), version);
  if (!erased && version) precondition_failed();
  return json_response({{"erased", erased}});
}

Response stat_blob(Call& call) {
  const auto info = Blobs(call.database()).stat(call.path("key"));
  if (!info) not_there();
  return json_response(json_of(*info));
}

Response list_blobs(Call& call) {
  const Listing<BlobInfo> listing = Blobs(call.database()).list(list_options_of(call));
  std::vector<std::string> items;
  for (const BlobInfo& info : listing.items) items.push_back(json_of(info).dump());
  return listing_response(items, listing.cursor);
}

/// The other key, in the body of a move.
Bytes target_of(const Call& call) {
  const Json body = call.json_body();
  return Fields(body, "the body", {}, {"to"}).bytes("to");
}

/// For what takes as long as the blob is large.
BlobProgress until_the_server_stops(const Call& call) {
  return [&state = call.state](std::uint64_t, std::optional<std::uint64_t>) {
    if (state.is_draining)
      throw Error(Code::unavailable, Retry::backoff, "the server is stopping; try again");
  };
}

Response rename_blob(Call& call) {
  const Bytes to = target_of(call);
  if (!Blobs(call.database()).rename(call.path("key"), to)) not_there();
  return json_response({{"renamed", true}});
}

Response copy_blob(Call& call) {
  const Bytes to = target_of(call);
  return size_and_hash(Blobs(call.database()).copy(call.path("key"), to, until_the_server_stops(call)));
}

Response verify_blob(Call& call) {
  return size_and_hash(Blobs(call.database()).verify(call.path("key"), until_the_server_stops(call)));
}

Json size_and_hash_schema() {
  return object_schema({{"size_bytes", integer_schema()}, {"hash", text_schema()}}, {"size_bytes", "hash"});
}

Json info_schema() {
  auto members = bytes_members("key", "The key");
  members.emplace_back("size_bytes", integer_schema());
  members.emplace_back("hash", text_schema("BLAKE2b-256 of the bytes in hexadecimal"));
  members.emplace_back("content_type", text_schema());
  members.emplace_back("metadata", Json{{"type", "object"}});
  members.emplace_back("created_at_ms", integer_schema(INT64_MIN));
  members.emplace_back("updated_at_ms", integer_schema(INT64_MIN));
  members.emplace_back("version", integer_schema());
  return object_schema(members, {"size_bytes", "hash", "content_type", "metadata", "version"});
}

}  // namespace

void add_blob_routes(std::vector<Route>& routes) {
  const char* one = "/v1/databases/{db}/blobs/{key+}";

  Route get =
      make_route("blobs", "GET", one, "get_blob",
                 "The bytes of a blob, with the content type that it was put with.", Scope::read, get_blob);
  get.parameters = {
      {"Range", text_schema(), "One range of bytes; several are answered by the whole.", true},
      {"If-Range", text_schema(), "A version in quotes: the range only if the blob is still that.", true},
      {"If-None-Match", text_schema(), "A version in quotes: 304 if the blob is still that.", true}};
  get.answers = {{200, "All bytes. Holdfast-Hash is their BLAKE2b-256.", "*/*"},
                 {206, "The range.", "*/*"},
                 {304, "The blob is of that version.", ""}};
  routes.push_back(get);

  Route put =
      make_route("blobs", "PUT", one, "put_blob",
                 "Puts a blob of any size: all of it is there at once, or nothing.", Scope::write, put_blob);
  put.mode = Plan::Mode::upload;
  put.body = Body{"*/*", {}, "The bytes, with their content type."};
  put.parameters = {{"Holdfast-Metadata", text_schema(), "A JSON object to be kept with the blob.", true},
                    {"Holdfast-Hash", text_schema(), "BLAKE2b-256 of the bytes: 400 if it is another.", true},
                    if_match_parameter(),
                    if_none_match_parameter()};
  put.answers = {{200, "It is there.", "application/json", size_and_hash_schema()}};
  routes.push_back(put);

  Route erase = make_route("blobs", "DELETE", one, "erase_blob", "Erases a blob.", Scope::write, erase_blob);
  erase.parameters = {if_match_parameter()};
  erase.answers = {{200, "Whether there was one.", "application/json",
                    object_schema({{"erased", boolean_schema()}}, {"erased"})}};
  routes.push_back(erase);

  Route stat = make_route("blobs", "GET", "/v1/databases/{db}/blob-info/{key+}", "stat_blob",
                          "All but the bytes of a blob.", Scope::read, stat_blob);
  stat.answers = {
      {200, "The blob's size, hash, types, times and metadata.", "application/json", info_schema()}};
  routes.push_back(stat);

  Route list = make_route("blobs", "GET", "/v1/databases/{db}/blobs", "list_blobs", "Blobs by key.",
                          Scope::read, list_blobs);
  list.parameters = list_parameters();
  list.answers = {{200, "A page.", "application/json", listing_schema(info_schema())}};
  routes.push_back(list);

  const Body target = {"application/json", object_schema(bytes_members("to", "The other key"), {}),
                       "Where to; what is there is replaced."};
  Route rename =
      make_route("blobs", "POST", "/v1/databases/{db}/blob-rename/{key+}", "rename_blob",
                 "Moves a blob to another key, in one commit whatever its size.", Scope::write, rename_blob);
  rename.body_limit_bytes = 16u << 10;
  rename.body = target;
  rename.answers = {
      {200, "It is there.", "application/json", object_schema({{"renamed", boolean_schema()}}, {"renamed"})}};
  routes.push_back(rename);

  Route copy = make_route("blobs", "POST", "/v1/databases/{db}/blob-copy/{key+}", "copy_blob",
                          "Copies a blob to another key, with its content type and metadata. Answers when "
                          "that is done, which takes as long as an upload.",
                          Scope::write, copy_blob);
  copy.body_limit_bytes = 16u << 10;
  copy.body = target;
  copy.answers = {{200, "It is there.", "application/json", size_and_hash_schema()}};
  routes.push_back(copy);

  Route verify = make_route("blobs", "POST", "/v1/databases/{db}/blob-verify/{key+}", "verify_blob",
                            "Reads all bytes of a blob and hashes them again; 500, corruption, if they are "
                            "not those that were put.",
                            Scope::read, verify_blob);
  verify.answers = {{200, "They are.", "application/json", size_and_hash_schema()}};
  routes.push_back(verify);
}

}  // namespace holdfast::server
