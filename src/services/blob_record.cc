#include "services/blob_record.h"

#include <algorithm>
#include <string>

#include "holdfast/error.h"
#include "services/json_text.h"
#include "services/payload_codec.h"

namespace holdfast {
namespace {

[[noreturn]] void fail_as_unreadable_blob() {
  throw Error(Code::corruption, "the entry of a blob cannot be read; restore the database from a backup");
}

/// Takes the JSON string that `text` begins with, of the characters that a content type may have.
Bytes take_string(View& text) {
  if (!text.starts_with('"')) fail_as_unreadable_blob();
  Bytes out;
  for (std::size_t at = 1; at < text.size(); ++at) {
    if (text[at] == '"') {
      text.remove_prefix(at + 1);
      return out;
    }
    if (text[at] == '\\') ++at;
    if (at == text.size()) break;
    out += text[at];
  }
  fail_as_unreadable_blob();
}

}  // namespace

Bytes BlobRecord::text() const {
  Bytes out = "{\"object\":\"" + object + "\",\"size_bytes\":" + std::to_string(info.size_bytes);
  out += ",\"hash\":\"" + info.hash + "\"";
  out += ",\"created_at_ms\":" + std::to_string(info.created_at_ms);
  out += ",\"updated_at_ms\":" + std::to_string(info.updated_at_ms);
  out += ",\"content_type\":" + json_string(info.content_type);
  out += ",\"metadata\":" + info.metadata.text() + "}";
  return out;
}

BlobRecord BlobRecord::parse(View key, const Entry& entry) {
  BlobRecord record;
  BlobInfo& info = record.info;
  EnvelopeReader reader(entry.value);
  record.object = reader.literal("{\"object\":\"").word();
  info.size_bytes = static_cast<std::uint64_t>(reader.literal(",\"size_bytes\":").number());
  info.hash = reader.literal(",\"hash\":\"").word();
  info.created_at_ms = reader.literal(",\"created_at_ms\":").number();
  info.updated_at_ms = reader.literal(",\"updated_at_ms\":").number();
  View rest = reader.literal(",\"content_type\":").rest();
  info.content_type = take_string(rest);
  rest = EnvelopeReader(rest).literal(",\"metadata\":").rest();
  if (!rest.ends_with("}}")) fail_as_unreadable_blob();
  rest.remove_suffix(1);
  try {
    info.metadata = Payload::parse(rest);
  } catch (const Error&) {
    fail_as_unreadable_blob();
  }
  info.key = key;
  info.version = entry.version;
  return record;
}

void validate_content_type(View content_type) {
  const bool is_printable = std::ranges::all_of(content_type, [](char c) { return c >= 0x20 && c <= 0x7e; });
  if (!content_type.empty() && content_type.size() <= limits::kContentTypeBytes && is_printable) return;
  throw Error(Code::invalid_argument, "a content type of " + std::to_string(content_type.size()) +
                                          " bytes: it has at least 1 and at most " +
                                          std::to_string(limits::kContentTypeBytes) +
                                          ", all of them printable ASCII");
}

void validate_metadata(const Payload& metadata) {
  if (!metadata.is_json() || !metadata.text().starts_with('{')) {
    throw Error(Code::invalid_argument, "the metadata of a blob is a JSON object, or absent");
  }
  if (metadata.size_bytes() <= limits::kBlobMetadataBytes) return;
  throw Error(Code::invalid_argument, "metadata of " + std::to_string(metadata.size_bytes()) +
                                          " bytes: the maximum is " +
                                          std::to_string(limits::kBlobMetadataBytes));
}

}  // namespace holdfast
