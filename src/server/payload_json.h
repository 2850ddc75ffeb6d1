// Payloads in requests and responses. A document's text goes through as it is, so that no number is re-typed
// on the way: what is parsed is only looked at.
#pragma once

#include <functional>
#include <initializer_list>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "holdfast/listing.h"
#include "holdfast/payload.h"
#include "server/json.h"
#include "server/route.h"

namespace holdfast::server {

/// The body: a document if its type is application/json, else raw bytes.
Payload payload_of_body(const Call& call);
/// The payload as the whole body.
void set_payload_body(Response& response, const Payload& payload);

/// The payload in an object's members: "value", any JSON, or "bytes_base64". Throws invalid_argument.
Payload payload_of_members(View object_text, const std::string& where);
/// The elements of the body's array `member`, each an object of a key ("key" or "key_base64") and a payload,
/// at most `limit`. The body has no other member.
std::vector<std::pair<Bytes, Payload>> keyed_payloads_of_body(const Call& call, const char* member,
                                                              std::size_t limit);
/// The payloads of such an array whose elements have no key.
std::vector<Payload> payloads_of_body(const Call& call, const char* member, std::size_t limit);
/// Calls `take` with each element of such an array, which may have the members that are `known`: those of the
/// payload have to be among them.
void read_payloads_of_body(const Call& call, const char* member, std::size_t limit,
                           std::initializer_list<const char*> known,
                           const std::function<void(const Fields&, Payload)>& take);
/// The body's array "keys", or "keys_base64", of at most 1,000.
std::vector<Bytes> keys_of_body(const Call& call);
/// An object with the payload in place of its member "value" or "bytes_base64".
std::string with_payload(const Json& object, const Payload& payload);

/// The members that payload_of_members() reads and with_payload() writes.
std::vector<std::pair<std::string, Json>> payload_members();
/// The same and those of a key.
std::vector<std::pair<std::string, Json>> keyed_payload_members();
/// The answer of a GET by set_payload_body(), which takes microseconds as a rule.
void describe_payload_answer(Route& route);
/// The body of a PUT by payload_of_body().
void describe_payload_body(Route& route);
/// The body of a POST by keyed_payloads_of_body().
void describe_keyed_payloads_body(Route& route, const char* member);

// --- lists of services

std::vector<Parameter> list_parameters(bool has_prefix = true);
ListOptions list_options_of(const Call& call, bool has_prefix = true);
/// {"items": [...], "cursor": "..."}: the items are JSON texts.
Response listing_response(std::span<const std::string> items, const Bytes& cursor);
Json listing_schema(Json item);

// --- many by their keys

/// {"items": [...], "left": n}: an item, or null, for each of the first of `asked` keys; the others are left.
Response page_response(std::span<const std::string> items, std::size_t asked);
/// The route's body and answer: a POST that reads. `item` is what describes one that is there.
void describe_page(Route& route, Json item);
Bytes cursor_of(const Call& call);

/// If-Match: "version"; nothing if it is not there.
std::optional<std::uint64_t> if_match_of(const Call& call);
/// Whether there is If-None-Match: *.
bool is_if_none_match(const Call& call);
Parameter if_match_parameter();
Parameter if_none_match_parameter();
[[noreturn]] void precondition_failed();

/// Payload bodies may have 64 MiB.
inline constexpr std::size_t kPayloadBodyBytes = limits::kPayloadBytes;

}  // namespace holdfast::server
