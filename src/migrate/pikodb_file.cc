#include "migrate/pikodb_file.h"

#include <charconv>
#include <cmath>
#include <unordered_map>
#include <utility>

#include "migrate/json_scan.h"
#include "services/json_text.h"

namespace holdfast {
namespace {

constexpr View kByteOrderMark = "\xEF\xBB\xBF";
/// The end of a record and the beginning of the next one.
constexpr View kSeam = "}],[\"";
constexpr std::size_t kDepthMax = 1'000;
constexpr std::size_t kProblemsMax = 20;
/// Beyond it JavaScript's numbers are no exact milliseconds.
constexpr double kExactMax = 9'007'199'254'740'992.0;

/// A pair whose syntax is sound and whose content is not.
struct BadPair {
  std::string reason;
};

std::optional<double> number_of(View text) {
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (end != text.data() + text.size()) return std::nullopt;
  if (error == std::errc::result_out_of_range) return text.front() == '-' ? -HUGE_VAL : HUGE_VAL;
  if (error != std::errc()) return std::nullopt;
  return number;
}

/// Nothing: never. PikoDB compares now > expiry, so that a fraction of a millisecond makes no difference.
std::optional<UnixMs> expiry_of(View json) {
  std::optional<Bytes> text;
  if (json.front() == '"') {
    text = json_string_content(json);
    if (!text || text->empty()) return std::nullopt;
    json = *text;
  }
  if (json == "true") return 1;
  const std::optional<double> number = number_of(json);
  if (!number || *number == 0 || *number >= kExactMax) return std::nullopt;
  return static_cast<UnixMs>(std::floor(std::max(*number, -kExactMax)));
}

class Parser {
 public:
  explicit Parser(View text) : text_(text), scanner_(text) {}

  PikodbFile run() {
    if (text_.empty()) {
      problem(
          "it has 0 bytes and is taken for an empty table, as PikoDB does; a power cut can be the reason");
      file_.is_table = true;
      return std::move(file_);
    }
    if (text_.starts_with(kByteOrderMark)) {
      problem("byte 0: a byte-order mark, which PikoDB cannot read, was passed over");
      scanner_ = JsonScanner(text_, kByteOrderMark.size());
    }
    if (!scanner_.take('[')) {
      problem("it is no PikoDB table: it does not begin with a JSON array");
      return std::move(file_);
    }
    is_sound_utf8_ = is_utf8(text_);
    if (!scanner_.take(']')) elements();
    if (!is_cut_ && !scanner_.is_at_end()) {
      problem("byte " + std::to_string(scanner_.at()) +
              ": what follows the end of the table was passed over");
    }
    file_.is_table = !file_.records.empty() || file_.unreadable == 0;
    return std::move(file_);
  }

 private:
  void problem(std::string text) { file_.problems.add(std::move(text)); }

  void elements() {
    for (std::size_t number = 1;; ++number) {
      scanner_.peek();  // to where the element begins
      const std::size_t begin = scanner_.at();
      try {
        try {
          add(pair(begin, false));
        } catch (const BadPair& bad) {
          ++file_.unreadable;
          problem("record " + std::to_string(number) + " at byte " + std::to_string(begin) + ": " +
                  bad.reason);
        }
        if (scanner_.take(',')) continue;
        scanner_.expect(']');
        return;
      } catch (const JsonFault& fault) {
        ++file_.unreadable;
        if (!find_next_pair(begin, fault)) return;
      }
    }
  }

  /// Goes on behind a damaged place; false if there is nothing behind it.
  bool find_next_pair(std::size_t from, const JsonFault& fault) {
    const std::string what = "byte " + std::to_string(fault.offset) + ": " + fault.reason;
    for (std::size_t seam = text_.find(kSeam, from); seam != View::npos; seam = text_.find(kSeam, seam + 1)) {
      const std::size_t begin = seam + 3;
      if (begin <= from) continue;
      scanner_ = JsonScanner(text_, begin);
      try {
        pair(begin, true);
      } catch (const JsonFault&) {
        continue;
      } catch (const BadPair&) {
        continue;
      }
      problem(what + "; bytes " + std::to_string(from) + " to " + std::to_string(begin - 1) + " were lost");
      scanner_ = JsonScanner(text_, begin);
      return true;
    }
    problem(what + "; everything from byte " + std::to_string(from) + " on was lost");
    is_cut_ = true;
    return false;
  }

  /// `strict`: only what PikoDB itself writes, so that no part of a value is taken for a record.
  PikodbRecord pair(std::size_t begin, bool strict) {
    if (!scanner_.take('[')) {
      scanner_.value();
      throw BadPair{"it is no pair of a key and a record"};
    }
    PikodbRecord record;
    record.offset = begin;
    std::string reason;
    const auto blame = [&](const char* why) {
      if (reason.empty()) reason = why;
    };
    if (scanner_.peek() == '"') {
      std::optional<Bytes> key = json_string_content(scanner_.string());
      if (!key) blame("its key is no Unicode text");
      record.key = std::move(key).value_or("");
    } else {
      if (scanner_.peek() != ']') scanner_.value();
      blame("its key is no string");
    }
    if (scanner_.take(',')) {
      members(record, blame, strict);
      while (!strict && scanner_.take(',')) scanner_.value();
    } else {
      blame("it has no record");
    }
    scanner_.expect(']');
    if (reason.empty() && !is_sound_utf8_ && !is_utf8(text_.substr(begin, scanner_.at() - begin))) {
      blame("it is not UTF-8");
    }
    if (!reason.empty()) throw BadPair{reason};
    return record;
  }

  template <class Blame>
  void members(PikodbRecord& record, const Blame& blame, bool strict) {
    if (!scanner_.take('{')) {
      scanner_.value();
      return blame("it has no record");
    }
    Bytes order;
    while (scanner_.peek() == '"') {
      const View name = scanner_.string();
      scanner_.expect(':');
      const View value = scanner_.value();
      if (name.size() == 3) order += name[1];
      member(record, name, value, blame);
      if (!scanner_.take(',')) break;
    }
    scanner_.expect('}');
    if (strict && order != "dvtx" && order != "dvtxn") blame("it is not as PikoDB writes it");
    if (record.value.empty()) blame("it has no value");
  }

  template <class Blame>
  void member(PikodbRecord& record, View name, View value, const Blame& blame) {
    if (name == "\"d\"") {
      record.value = value;
    } else if (name == "\"v\"") {
      const std::optional<double> version = number_of(value);
      if (!version || *version < 1 || *version >= kExactMax)
        return blame("its version is no number from 1 on");
      record.version = static_cast<std::uint64_t>(*version);
    } else if (name == "\"t\"") {
      const std::optional<double> time = number_of(value);
      if (!time || std::abs(*time) > kExactMax) return blame("its time is no number");
      record.written_at_ms = static_cast<UnixMs>(*time);
    } else if (name == "\"x\"") {
      record.expires_at_ms = expiry_of(value);
    } else if (name == "\"n\"" && value.front() == '"') {
      record.dictionary = json_string_content(value).value_or("");
    }
  }

  void add(PikodbRecord record) {
    const auto [known, is_new] = places_.try_emplace(record.key, file_.records.size());
    if (is_new) {
      file_.records.push_back(std::move(record));
    } else {
      file_.records[known->second] = std::move(record);
    }
  }

  View text_;
  JsonScanner scanner_;
  PikodbFile file_;
  std::unordered_map<Bytes, std::size_t> places_;
  bool is_sound_utf8_ = true;
  bool is_cut_ = false;
};

using Names = std::unordered_map<Bytes, Bytes>;

Bytes inflated(JsonScanner& scanner, const Names& names, std::size_t depth) {
  if (depth > kDepthMax) throw JsonFault{scanner.at(), "a value is nested too deeply"};
  Bytes out;
  if (scanner.take('[')) {
    out = "[";
    while (scanner.peek() != ']') {
      if (out.size() > 1) out += ',';
      out += inflated(scanner, names, depth + 1);
      if (!scanner.take(',')) break;
    }
    scanner.expect(']');
    return out += ']';
  }
  if (!scanner.take('{')) return Bytes(scanner.value());
  std::vector<std::pair<Bytes, Bytes>> members;
  std::unordered_map<Bytes, std::size_t> places;
  while (scanner.peek() == '"') {
    Bytes name(scanner.string());
    scanner.expect(':');
    if (const std::optional<Bytes> content = json_string_content(name)) {
      if (const auto known = names.find(*content); known != names.end()) name = json_string(known->second);
    }
    Bytes value = inflated(scanner, names, depth + 1);
    if (const auto [known, is_new] = places.try_emplace(name, members.size()); is_new) {
      members.emplace_back(std::move(name), std::move(value));
    } else {
      members[known->second].second = std::move(value);
    }
    if (!scanner.take(',')) break;
  }
  scanner.expect('}');
  out = "{";
  for (const auto& [name, value] : members) {
    if (out.size() > 1) out += ',';
    ((out += name) += ':') += value;
  }
  return out += '}';
}

}  // namespace

void PikodbProblems::add(std::string problem) {
  if (count_++ < kProblemsMax) first_.push_back(std::move(problem));
}

std::vector<std::string> PikodbProblems::listed() const {
  std::vector<std::string> listed = first_;
  if (count_ > kProblemsMax) {
    listed.back() = "and " + std::to_string(count_ - kProblemsMax + 1) + " more";
  }
  return listed;
}

PikodbFile parse_pikodb_file(View text) { return Parser(text).run(); }

Bytes inflate_pikodb_value(View json, const PikodbDictionary& dictionary) {
  Names names;
  for (const auto& [from, to] : dictionary.names) {
    const Bytes& short_name = dictionary.is_inflate ? from : to;
    const Bytes& long_name = dictionary.is_inflate ? to : from;
    // An empty name is false in JavaScript, and a false one is not taken.
    if (!long_name.empty()) {
      names.insert_or_assign(short_name, long_name);
    } else {
      names.erase(short_name);
    }
  }
  JsonScanner scanner(json);
  return inflated(scanner, names, 0);
}

}  // namespace holdfast
