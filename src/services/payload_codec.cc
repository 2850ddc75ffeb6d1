#include "services/payload_codec.h"

#include <charconv>
#include <string>

#include "holdfast/error.h"
#include "services/base64.h"

namespace holdfast {
namespace {

constexpr char kBytesMark = '\0';
constexpr char kObjectMark = '\1';
constexpr std::size_t kUploadPieceBytes = std::size_t{1} << 20;

[[noreturn]] void fail_as_unreadable_payload() {
  throw Error(Code::corruption, "an entry of a service cannot be read; restore the database from a backup");
}

void append_object(const StoredPayload& stored, Bytes& out) {
  out += "\"object\":\"" + stored.object + "\",\"kind\":\"";
  out += stored.kind == Payload::Kind::json ? "json" : "bytes";
  out += "\",\"size_bytes\":" + std::to_string(stored.size_bytes) + "}";
}

StoredPayload parse_object(View text) {
  StoredPayload stored;
  EnvelopeReader reader(text);
  stored.object = reader.literal("\"object\":\"").word();
  const View kind = reader.literal(",\"kind\":\"").word();
  if (kind != "json" && kind != "bytes") fail_as_unreadable_payload();
  stored.kind = kind == "json" ? Payload::Kind::json : Payload::Kind::bytes;
  stored.size_bytes = static_cast<std::uint64_t>(reader.literal(",\"size_bytes\":").number());
  if (reader.rest() != "}") fail_as_unreadable_payload();
  return stored;
}

StoredPayload in_entry(Payload::Kind kind, Bytes text) {
  const std::uint64_t size_bytes = text.size();
  return {kind, std::move(text), {}, size_bytes};
}

}  // namespace

StoredPayload PayloadCodec::store(const Payload& payload) const {
  if (payload.size_bytes() > limits::kPayloadBytes) {
    throw Error(Code::invalid_argument, "a payload of " + std::to_string(payload.size_bytes()) +
                                            " bytes: the maximum is " +
                                            std::to_string(limits::kPayloadBytes) + "; store it as a blob");
  }
  if (payload.size_bytes() <= limits::kInlinePayloadBytes) return in_entry(payload.kind(), payload.text());
  StoredPayload stored{payload.kind(), {}, {}, payload.size_bytes()};
  stored.object = database_.objects().put([&, at = std::size_t{0}]() mutable {
    Bytes piece = payload.text().substr(at, kUploadPieceBytes);
    at += piece.size();
    return piece;
  });
  return stored;
}

std::optional<Payload> PayloadCodec::load(const StoredPayload& stored) const {
  if (!stored.is_object()) return Payload(stored.kind, stored.text);
  std::optional<Bytes> text = database_.objects().get(stored.object, 0, stored.size_bytes);
  if (!text) return std::nullopt;
  if (text->size() != stored.size_bytes) fail_as_unreadable_payload();
  return Payload(stored.kind, std::move(*text));
}

std::optional<Payload> PayloadCodec::load(const StoredPayload& stored, const Entry& entry) const {
  std::optional<Payload> payload = load(stored);
  if (payload) return payload;
  const std::optional<Entry> current = database_.get(entry.key);
  if (current && current->version == entry.version) fail_as_unreadable_payload();
  return std::nullopt;
}

Payload PayloadCodec::load_in_transaction(const StoredPayload& stored) const {
  std::optional<Payload> payload = load(stored);
  // If the entry has changed since, what was read does not hold, and the transaction runs again.
  if (!payload) fail_as_unreadable_payload();
  return std::move(*payload);
}

void PayloadCodec::replace(Transaction& transaction, const std::optional<StoredPayload>& previous,
                           const StoredPayload& next, std::optional<UnixMs> expires_at_ms) {
  if (previous && previous->object != next.object) release(transaction, *previous);
  if (next.is_object()) transaction.keep(next.object, expires_at_ms);
}

void PayloadCodec::release(Transaction& transaction, const StoredPayload& stored) {
  if (stored.is_object()) transaction.release(stored.object);
}

Bytes PayloadCodec::bare(const StoredPayload& stored) {
  if (stored.is_object()) {
    Bytes out{kObjectMark, '{'};
    append_object(stored, out);
    return out;
  }
  return stored.kind == Payload::Kind::json ? stored.text : kBytesMark + stored.text;
}

StoredPayload PayloadCodec::parse_bare(View value) {
  if (value.empty()) fail_as_unreadable_payload();
  if (value.front() == kBytesMark) return in_entry(Payload::Kind::bytes, Bytes(value.substr(1)));
  if (value.front() != kObjectMark) return in_entry(Payload::Kind::json, Bytes(value));
  return parse_object(EnvelopeReader(value.substr(1)).literal("{").rest());
}

void PayloadCodec::append_members(const StoredPayload& stored, Bytes& envelope) {
  if (stored.is_object()) {
    append_object(stored, envelope);
  } else if (stored.kind == Payload::Kind::json) {
    envelope.append("\"value\":").append(stored.text).append("}");
  } else {
    envelope.append("\"bytes\":\"").append(to_base64(stored.text)).append("\"}");
  }
}

StoredPayload PayloadCodec::parse_members(View members) {
  EnvelopeReader reader(members);
  if (!members.ends_with('}')) fail_as_unreadable_payload();
  if (reader.skip("\"value\":")) {
    return in_entry(Payload::Kind::json, Bytes(reader.rest().substr(0, reader.rest().size() - 1)));
  }
  if (reader.skip("\"bytes\":\"")) {
    std::optional<Bytes> bytes = from_base64(reader.word());
    if (!bytes || reader.rest() != "}") fail_as_unreadable_payload();
    return in_entry(Payload::Kind::bytes, std::move(*bytes));
  }
  return parse_object(members);
}

const StoredPayload& PayloadUploads::store(const Payload& payload) {
  const auto found = stored_.find(&payload);
  if (found != stored_.end()) return found->second;
  return stored_.emplace(&payload, PayloadCodec(database_).store(payload)).first->second;
}

void PayloadUploads::discard() {
  for (const auto& [payload, stored] : stored_) {
    try {
      if (stored.is_object()) database_.objects().erase(stored.object);
    } catch (const Error&) {
      // The sweeper finds it when it has expired.
    }
  }
}

EnvelopeReader& EnvelopeReader::literal(View text) {
  if (!skip(text)) fail_as_unreadable_payload();
  return *this;
}

std::int64_t EnvelopeReader::number() {
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), number);
  if (error != std::errc{}) fail_as_unreadable_payload();
  rest_.remove_prefix(static_cast<std::size_t>(end - rest_.data()));
  return number;
}

View EnvelopeReader::word() {
  const std::size_t end = rest_.find('"');
  if (end == View::npos) fail_as_unreadable_payload();
  const View word = rest_.substr(0, end);
  rest_.remove_prefix(end + 1);
  return word;
}

bool EnvelopeReader::skip(View text) {
  if (!rest_.starts_with(text)) return false;
  rest_.remove_prefix(text.size());
  return true;
}

}  // namespace holdfast
