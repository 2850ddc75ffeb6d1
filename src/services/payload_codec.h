// How payloads lie in entries: small ones in the entry, large ones in an object that the entry names and that
// lives as long as the entry does.
//
// Bare, as the whole value of an entry:
//     <JSON text>                                                            a document
//     00 <bytes>                                                             raw bytes
//     01 {"object":"<id>","kind":"json"|"bytes","size_bytes":n}              a large one
// As the last members of an envelope, which is a JSON object:
//     "value":<JSON text>}
//     "bytes":"<base64>"}
//     "object":"<id>","kind":"json"|"bytes","size_bytes":n}
#pragma once

#include <cstdint>
#include <map>
#include <optional>

#include "holdfast/error.h"
#include "holdfast/objects.h"
#include "holdfast/payload.h"
#include "holdfast/store.h"

namespace holdfast {

/// A payload as an entry has it.
struct StoredPayload {
  Payload::Kind kind = Payload::Kind::json;
  Bytes text;       ///< of a small one
  ObjectId object;  ///< of a large one
  std::uint64_t size_bytes = 0;

  bool is_object() const { return !object.empty(); }
};

class PayloadCodec {
 public:
  explicit PayloadCodec(Database database) : database_(std::move(database)) {}

  /// Uploads a large payload. Throws invalid_argument for one above limits::kPayloadBytes.
  StoredPayload store(const Payload& payload) const;
  /// Nothing if its object is gone.
  std::optional<Payload> load(const StoredPayload& stored) const;
  /// Of a small one.
  static Payload of_text(StoredPayload stored) { return Payload(stored.kind, std::move(stored.text)); }
  /// Nothing if its object is gone because `entry`, which names it, has changed since it was read: read
  /// again. Throws corruption if the entry is still the same.
  std::optional<Payload> load(const StoredPayload& stored, const Entry& entry) const;
  /// load() in a transaction: an entry that has changed makes it run again.
  Payload load_in_transaction(const StoredPayload& stored) const;

  /// In the commit that puts `next` in the place of `previous`: keeps and releases their objects.
  static void replace(Transaction& transaction, const std::optional<StoredPayload>& previous,
                      const StoredPayload& next, std::optional<UnixMs> expires_at_ms = {});
  static void release(Transaction& transaction, const StoredPayload& stored);

  static Bytes bare(const StoredPayload& stored);
  /// Throws corruption, as do all that read.
  static StoredPayload parse_bare(View value);
  /// Appends the members and the closing brace.
  static void append_members(const StoredPayload& stored, Bytes& envelope);
  static StoredPayload parse_members(View members);

 private:
  Database database_;
};

/// What one call uploads whose transaction may run several times: each payload once, and nothing stays that
/// no commit has kept.
class PayloadUploads {
 public:
  explicit PayloadUploads(Database database) : database_(std::move(database)) {}

  /// PayloadCodec::store(). The payload has to stay where it is.
  const StoredPayload& store(const Payload& payload);
  /// Runs `call`, which transacts and says whether it has put what was stored.
  template <class F>
  bool settle(F&& call) {
    try {
      const bool is_put = call();
      if (!is_put) discard();
      return is_put;
    } catch (const Error& error) {
      if (error.retry() != Retry::unknown_outcome) discard();
      throw;
    }
  }

 private:
  void discard();

  Database database_;
  std::map<const Payload*, StoredPayload> stored_;
};

/// Reads the fixed beginning of an envelope. Throws corruption where it is another.
class EnvelopeReader {
 public:
  explicit EnvelopeReader(View text) : rest_(text) {}
  EnvelopeReader& literal(View text);
  std::int64_t number();
  /// A string without escapes, up to its closing quote.
  View word();
  bool skip(View text);
  View rest() const { return rest_; }

 private:
  View rest_;
};

}  // namespace holdfast
