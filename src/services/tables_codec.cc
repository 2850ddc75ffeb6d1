#include "services/tables_codec.h"

#include <charconv>
#include <concepts>
#include <nlohmann/json.hpp>

#include "holdfast/error.h"
#include "services/json_text.h"
#include "services/keys.h"

namespace holdfast::tables {
namespace {

[[noreturn]] void fail_as_unreadable_row() {
  throw Error(Code::corruption, "an entry of a table cannot be read; restore the database from a backup");
}

std::uint64_t count(EnvelopeReader& reader) {
  const std::int64_t number = reader.number();
  if (number < 0) fail_as_unreadable_row();
  return static_cast<std::uint64_t>(number);
}

Place place(EnvelopeReader& reader) {
  Place place;
  place.seq = reader.literal(",\"o\":[").number();
  place.tie = count(reader.literal(","));
  reader.literal("]");
  return place;
}

/// A string that may have escapes.
Bytes text_of(EnvelopeReader& reader) {
  const View rest = reader.rest();
  std::size_t end = 1;
  while (end < rest.size() && rest[end] != '"') end += rest[end] == '\\' ? 2 : 1;
  const nlohmann::json text = nlohmann::json::parse(rest.substr(0, end + 1), nullptr, false);
  if (!text.is_string()) fail_as_unreadable_row();
  reader = EnvelopeReader(rest.substr(end + 1));
  return text.get<Bytes>();
}

template <std::integral Number>
void append(Bytes& out, Number number) {
  char digits[24];
  const auto [end, error] = std::to_chars(std::begin(digits), std::end(digits), number);
  out.append(std::begin(digits), end);
}

template <std::integral Number>
void append(Bytes& out, View name, Number number) {
  append(out += name, number);
}

void append(Bytes& out, const Place& place) {
  append(out, ",\"o\":[", place.seq);
  append(out, ",", place.tie);
  out += ']';
}

}  // namespace

Bytes Row::text_with(const StoredPayload& stored) const {
  Bytes out;
  out.reserve(stored.text.size() + whole_key.size() + 160);
  append(out, "{\"v\":", version);
  append(out, ",\"t\":", written_at_ms);
  append(out, place);
  if (expires_at_ms) append(out, ",\"x\":", *expires_at_ms);
  if (!dictionary_id.empty()) ((out += ",\"n\":\"") += dictionary_id) += '"';
  if (generation != 1) append(out, ",\"g\":", generation);
  if (!whole_key.empty()) (out += ",\"k\":") += json_string(whole_key);
  out += ',';
  PayloadCodec::append_members(stored, out);
  return out;
}

Row Row::parse(View text) {
  EnvelopeReader reader(text);
  Row row;
  row.version = count(reader.literal("{\"v\":"));
  row.written_at_ms = reader.literal(",\"t\":").number();
  row.place = tables::place(reader);
  if (reader.skip(",\"x\":")) row.expires_at_ms = reader.number();
  if (reader.skip(",\"n\":\"")) row.dictionary_id = reader.word();
  if (reader.skip(",\"g\":")) row.generation = count(reader);
  if (reader.skip(",\"k\":")) row.whole_key = text_of(reader);
  row.payload = reader.literal(",").rest();
  return row;
}

Bytes Mark::text() const {
  Bytes out;
  append(out, "{\"v\":", version);
  append(out, place);
  append(out, ",\"x\":", expires_at_ms);
  if (generation != 1) append(out, ",\"g\":", generation);
  return out += '}';
}

Mark Mark::parse(View text) {
  EnvelopeReader reader(text);
  Mark mark;
  mark.version = count(reader.literal("{\"v\":"));
  mark.place = tables::place(reader);
  mark.expires_at_ms = reader.literal(",\"x\":").number();
  if (reader.skip(",\"g\":")) mark.generation = count(reader);
  reader.literal("}");
  return mark;
}

Bytes TableEntry::text() const {
  Bytes out;
  append(out, "{\"generation\":", generation);
  ((out += ",\"history\":\"") += number_segment(history)) += '"';
  append(out, ",\"base\":", base);
  out += ",\"state\":\"";
  out += state == State::live ? "live" : state == State::mixed ? "mixed" : "erased";
  return out += "\"}";
}

TableEntry TableEntry::parse(View text) {
  EnvelopeReader reader(text);
  TableEntry entry;
  entry.generation = count(reader.literal("{\"generation\":"));
  entry.history = segment_number(reader.literal(",\"history\":\"").word());
  entry.base = reader.literal(",\"base\":").number();
  const View state = reader.literal(",\"state\":\"").word();
  if (state == "mixed") {
    entry.state = State::mixed;
  } else if (state == "erased") {
    entry.state = State::erased;
  } else if (state != "live") {
    fail_as_unreadable_row();
  }
  reader.literal("}");
  return entry;
}

Bytes DefinitionText::text() const {
  Bytes out = "{\"name\":" + json_string(name) + ",\"deflate\":";
  return (out += names) += '}';
}

DefinitionText DefinitionText::parse(View text) {
  EnvelopeReader reader(text);
  DefinitionText definition;
  definition.name = text_of(reader.literal("{\"name\":"));
  definition.names = reader.literal(",\"deflate\":").rest();
  if (!definition.names.ends_with('}')) fail_as_unreadable_row();
  definition.names.remove_suffix(1);
  return definition;
}

}  // namespace holdfast::tables
