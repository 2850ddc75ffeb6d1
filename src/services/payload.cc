#include "holdfast/payload.h"

#include <string>

#include "holdfast/error.h"
#include "services/json_text.h"

namespace holdfast {

Payload Payload::parse(View text) { return {Kind::json, minified_json(text)}; }

Payload Payload::bytes(Bytes bytes) { return {Kind::bytes, std::move(bytes)}; }

nlohmann::json Payload::json() const {
  if (!is_json()) throw Error(Code::invalid_argument, "the payload is raw bytes, not a JSON document");
  try {
    return nlohmann::json::parse(text_);
  } catch (const nlohmann::json::exception&) {
    throw Error(Code::invalid_argument,
                "a JSON document has a number or an escape that no value stands for; use its text");
  }
}

Payload Payload::from_json(const nlohmann::json& value) {
  try {
    return parse(value.dump());
  } catch (const nlohmann::json::exception&) {
    throw Error(Code::invalid_argument, "a JSON document has text that is not UTF-8; store it as raw bytes");
  }
}

}  // namespace holdfast
