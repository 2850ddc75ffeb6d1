// What applications store: a JSON document or raw bytes.
//
// The text of a document is kept as it was given, without white space between its tokens, and is never
// re-typed: 1.10 stays 1.10, "true" stays a string, members stay in their order, null differs from absent.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <type_traits>
#include <utility>

#include "holdfast/types.h"

namespace holdfast {

/// A plain value. Equal if kind and text are.
class Payload {
 public:
  enum class Kind : std::uint8_t { json, bytes };

  /// The document null.
  Payload() : text_("null") {}
  /// Whatever nlohmann::json can be made of: Payload(7), Payload("text"), Payload(json{{"a", 1}}). Its text
  /// is what dump() gives, in which NaN and infinities are null. Throws invalid_argument if it holds text
  /// that is not UTF-8.
  template <class T>
    requires(!std::is_same_v<std::remove_cvref_t<T>, Payload> && std::is_constructible_v<nlohmann::json, T>)
  Payload(T&& value)  // NOLINT(google-explicit-constructor): a value is a document
      : Payload(from_json(nlohmann::json(std::forward<T>(value)))) {}

  /// The document that `text` is. Throws invalid_argument, naming the offset, if it is not JSON (RFC 8259) in
  /// UTF-8, or nested deeper than kPayloadDepth.
  static Payload parse(View text);
  /// Raw bytes, which are no document.
  static Payload bytes(Bytes bytes);

  Kind kind() const { return kind_; }
  bool is_json() const { return kind_ == Kind::json; }
  /// The document's text, or the raw bytes.
  const Bytes& text() const& { return text_; }
  Bytes text() && { return std::move(text_); }
  /// The document as a value; numbers as nlohmann::json reads them. Throws invalid_argument for raw bytes,
  /// and for a document that RFC 8259 allows and no value stands for: 1e999, half of a surrogate pair.
  nlohmann::json json() const;
  std::size_t size_bytes() const { return text_.size(); }

  bool operator==(const Payload&) const = default;

 private:
  friend class PayloadCodec;  // src/services/payload_codec.h
  Payload(Kind kind, Bytes text) : kind_(kind), text_(std::move(text)) {}
  static Payload from_json(const nlohmann::json& value);

  Kind kind_ = Kind::json;
  Bytes text_;
};

namespace limits {

/// Arrays and objects within one another.
inline constexpr std::size_t kPayloadDepth = 500;
/// Payloads up to this size lie in their entry, larger ones in an object beside it.
inline constexpr std::size_t kInlinePayloadBytes = std::size_t{256} << 10;
/// A payload is held in memory whole; larger ones are for blobs.
inline constexpr std::size_t kPayloadBytes = std::size_t{64} << 20;
/// Keys that users give to services.
inline constexpr std::size_t kServiceKeyBytes = 1'024;

}  // namespace limits
}  // namespace holdfast
