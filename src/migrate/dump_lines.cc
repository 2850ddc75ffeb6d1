#include "migrate/dump_lines.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <utility>
#include <vector>

#include "contract/hex.h"
#include "holdfast/error.h"
#include "holdfast/limits.h"
#include "migrate/json_scan.h"
#include "migrate/text.h"
#include "services/base64.h"
#include "services/json_text.h"

namespace holdfast::migrate {
namespace {

void append_bytes(std::string& out, const char* name, View bytes) {
  const bool is_plain = is_utf8(bytes);
  out += '"';
  out += name;
  out += is_plain ? "\":" : "64\":";
  if (is_plain) {
    append_json_string(out, bytes);
  } else {
    out += '"' + to_base64(bytes) + '"';
  }
}

std::string position_text(const Position& position) {
  return "{\"history\":\"" + hex16(position.history) + "\",\"seq\":" + std::to_string(position.seq) + "}";
}

[[noreturn]] void refuse(const std::string& what) { throw Error(Code::invalid_argument, what); }

/// One object of a line. What is asked for is what it may have: anything else is refused.
class Fields {
 public:
  explicit Fields(View text) {
    JsonScanner scanner(text);
    if (!scanner.take('{')) {
      scanner.value();
      refuse("an object was expected");
    }
    if (!scanner.take('}')) {
      do {
        const View name = scanner.string();
        scanner.expect(':');
        if (has(name.substr(1, name.size() - 2))) refuse("a member is there twice");
        fields_.emplace_back(name.substr(1, name.size() - 2), scanner.value());
      } while (scanner.take(','));
      scanner.expect('}');
    }
    if (!scanner.is_at_end()) throw JsonFault{scanner.at(), "the text goes on behind its end"};
  }

  bool has(View name) const { return find(name) != nullptr; }

  View at(View name) {
    const View* found = find(name);
    if (found == nullptr) refuse(quoted(name) + " is missing");
    ++used_;
    return *found;
  }

  std::string text(View name) {
    const View value = at(name);
    if (!value.starts_with('"')) refuse(quoted(name) + " must be a string");
    std::optional<Bytes> content = json_string_content(value);
    if (!content) refuse(quoted(name) + " has half of a character");
    return *std::move(content);
  }

  std::uint64_t number(View name) { return whole<std::uint64_t>(name, ", 0 or above"); }
  UnixMs time(View name) { return whole<UnixMs>(name, ""); }

  Bytes bytes(const std::string& name) {
    if (has(name)) return text(name);
    const std::string encoded = name + "64";
    if (!has(encoded)) refuse(quoted(name) + " is missing");
    std::optional<Bytes> bytes = from_base64(text(encoded));
    if (!bytes) refuse(quoted(encoded) + " is not base64");
    return *std::move(bytes);
  }

  Position position(View name) {
    Fields fields(at(name));
    const std::optional<std::uint64_t> history = from_hex16(fields.text("history"));
    if (!history) refuse("\"history\" must be 16 hexadecimal digits");
    const Position position{*history, fields.number("seq")};
    fields.end();
    return position;
  }

  void end() const {
    if (used_ != fields_.size()) refuse("the object has members that are not known");
  }

 private:
  static std::string quoted(View name) { return '"' + std::string(name) + '"'; }

  const View* find(View name) const {
    const auto found = std::ranges::find(fields_, name, &std::pair<View, View>::first);
    return found == fields_.end() ? nullptr : &found->second;
  }

  template <class Number>
  Number whole(View name, const char* more) {
    const View value = at(name);
    Number number{};
    const auto [end, problem] = std::from_chars(value.data(), value.data() + value.size(), number);
    if (problem != std::errc{} || end != value.data() + value.size()) {
      refuse(quoted(name) + " must be a whole number" + more);
    }
    return number;
  }

  std::vector<std::pair<View, View>> fields_;  ///< names without their quotes
  std::size_t used_ = 0;
};

DumpHeader header_of(Fields& fields) {
  if (fields.number("holdfast_dump") != 1) refuse("the dump has a newer format than this program knows");
  DumpHeader header;
  header.id = fields.text("id");
  header.store = fields.text("store");
  header.database = fields.text("database");
  header.position = fields.position("position");
  header.time_ms = fields.time("time_ms");
  header.entries = fields.number("entries");
  return header;
}

Entry entry_of(Fields& fields) {
  Entry entry;
  entry.key = fields.bytes("key");
  entry.value = fields.bytes("value");
  entry.version = fields.number("version");
  if (fields.has("expires_at_ms")) entry.expires_at_ms = fields.time("expires_at_ms");
  if (entry.key.empty() || entry.key.size() > limits::kKeyBytes) {
    refuse("a key has 1 to " + std::to_string(limits::kKeyBytes) + " bytes");
  }
  if (entry.value.size() > limits::kValueBytes) {
    refuse("a value has at most " + std::to_string(limits::kValueBytes) + " bytes");
  }
  if (entry.version == 0 || entry.version > limits::kMaxSeq) refuse("\"version\" is out of range");
  return entry;
}

DumpEnd end_of(View text) {
  Fields fields(text);
  DumpEnd end;
  end.position = fields.position("position");
  end.time_ms = fields.time("time_ms");
  end.digest.entries = fields.number("entries");
  const std::string digest = fields.text("digest");
  const auto high = from_hex16(View(digest).substr(0, 16));
  const auto low = from_hex16(digest.size() == 32 ? View(digest).substr(16) : View());
  if (!high || !low) refuse("\"digest\" must be 32 hexadecimal digits");
  fields.end();
  end.digest.high = *high;
  end.digest.low = *low;
  end.digest.at = end.position;
  if (end.position.seq > limits::kMaxSeq) refuse("\"seq\" is out of range");
  return end;
}

DumpLine parsed(Fields& fields) {
  if (fields.has("holdfast_dump")) return header_of(fields);
  if (fields.has("value") || fields.has("value64")) return entry_of(fields);
  if (fields.has("erase") || fields.has("erase64")) return DumpErase{fields.bytes("erase")};
  if (fields.has("clear") || fields.has("clear64")) {
    Range range;
    range.begin = fields.bytes("clear");
    range.end = fields.bytes("to");
    return DumpClear{std::move(range)};
  }
  if (fields.has("scanned")) return DumpScanned{fields.number("scanned")};
  if (fields.has("end")) return end_of(fields.at("end"));
  refuse("this is no line of a dump");
}

}  // namespace

std::string dump_line(const DumpHeader& header) {
  return "{\"holdfast_dump\":1,\"id\":" + json_string(header.id) + ",\"store\":" + json_string(header.store) +
         ",\"database\":" + json_string(header.database) + ",\"position\":" + position_text(header.position) +
         ",\"time_ms\":" + std::to_string(header.time_ms) + ",\"entries\":" + std::to_string(header.entries) +
         "}";
}

std::string dump_line(const Entry& entry) {
  std::string line;
  line.reserve(entry.key.size() + entry.value.size() + entry.value.size() / 8 + 64);
  line += '{';
  append_bytes(line, "key", entry.key);
  line += ',';
  append_bytes(line, "value", entry.value);
  line += ",\"version\":" + std::to_string(entry.version);
  if (entry.expires_at_ms) line += ",\"expires_at_ms\":" + std::to_string(*entry.expires_at_ms);
  return line + "}";
}

std::string dump_line(const DumpErase& erase) {
  std::string line = "{";
  append_bytes(line, "erase", erase.key);
  return line + "}";
}

std::string dump_line(const DumpClear& clear) {
  std::string line = "{";
  append_bytes(line, "clear", clear.range.begin);
  line += ',';
  append_bytes(line, "to", clear.range.end);
  return line + "}";
}

std::string dump_line(const DumpScanned& scanned) {
  return "{\"scanned\":" + std::to_string(scanned.entries) + "}";
}

std::string dump_line(const DumpEnd& end) {
  return "{\"end\":{\"position\":" + position_text(end.position) +
         ",\"time_ms\":" + std::to_string(end.time_ms) +
         ",\"entries\":" + std::to_string(end.digest.entries) + ",\"digest\":\"" + hex16(end.digest.high) +
         hex16(end.digest.low) + "\"}}";
}

DumpLine parse_dump_line(View line) {
  if (!is_utf8(line)) refuse("this is not JSON: it is not UTF-8");
  try {
    Fields fields(line);
    DumpLine result = parsed(fields);
    fields.end();
    return result;
  } catch (const JsonFault& fault) {
    refuse("this is not JSON: " + fault.reason);
  }
}

}  // namespace holdfast::migrate
