#include "services/name_dictionary.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "holdfast/error.h"
#include "services/json_text.h"

namespace holdfast {
namespace {

constexpr char kEscape = '~';

[[noreturn]] void refuse(const char* message) { throw Error(Code::invalid_argument, message); }

/// Names as they stand between quotes.
Bytes written(View name) {
  const Bytes quoted = json_string(name);
  return quoted.substr(1, quoted.size() - 2);
}

std::size_t end_of_string(View json, std::size_t open) {
  std::size_t at = open + 1;
  while (json[at] != '"') at += json[at] == '\\' ? 2 : 1;
  return at;
}

/// `json` with every member name replaced by what `rename` appends for it.
template <class Rename>
Bytes with_names(View json, const Rename& rename) {
  Bytes out;
  out.reserve(json.size());
  std::size_t copied = 0;
  for (std::size_t open = json.find('"'); open != View::npos;) {
    const std::size_t close = end_of_string(json, open);
    if (close + 1 < json.size() && json[close + 1] == ':') {
      out += json.substr(copied, open + 1 - copied);
      rename(json.substr(open + 1, close - open - 1), out);
      copied = close;
    }
    open = json.find('"', close + 1);
  }
  return out += json.substr(copied);
}

std::map<Bytes, Bytes> inverse_of(const std::map<Bytes, Bytes>& names) {
  std::map<Bytes, Bytes> inverse;
  for (const auto& [from, to] : names) {
    if (!inverse.emplace(to, from).second) {
      refuse("Dictionary must be one-to-one: two names are mapped to the same name");
    }
  }
  return inverse;
}

}  // namespace

NameDictionary::NameDictionary(const TableDictionary& given) {
  if (!given.deflate && !given.inflate) refuse("Dictionary must provide either deflate or inflate mapping");
  if (given.deflate && given.inflate) {
    refuse(
        "Dictionary should provide only one of deflate or inflate (not both). The inverse will be "
        "auto-generated.");
  }
  const std::map<Bytes, Bytes> inverse = inverse_of(given.deflate ? *given.deflate : *given.inflate);
  names_ = given.deflate ? *given.deflate : inverse;
  for (const auto& [long_name, short_name] : names_) {
    if (long_name.empty() || short_name.empty()) refuse("Dictionary names must not be empty");
    if (!is_utf8(long_name) || !is_utf8(short_name)) refuse("Dictionary names must be strings");
    if (short_name.front() == kEscape) {
      refuse("Dictionary short names must not begin with '~', which marks names that are stored as they are");
    }
    short_of_.emplace(written(long_name), written(short_name));
    long_of_.emplace(written(short_name), written(long_name));
    text_ += (text_.empty() ? "{" : ",") + json_string(long_name) + ":" + json_string(short_name);
  }
  text_ += text_.empty() ? "{}" : "}";
}

std::shared_ptr<const NameDictionary> NameDictionary::parse(View text) {
  try {
    auto names = nlohmann::json::parse(text).get<std::map<Bytes, Bytes>>();
    return std::make_shared<const NameDictionary>(TableDictionary{std::move(names), std::nullopt});
  } catch (const nlohmann::json::exception&) {
    throw Error(Code::corruption, "a stored dictionary cannot be read; restore the database from a backup");
  }
}

Bytes NameDictionary::deflate(View json) const {
  return with_names(json, [this](View name, Bytes& out) {
    if (const auto known = short_of_.find(name); known != short_of_.end()) {
      out += known->second;
      return;
    }
    if (name.starts_with(kEscape) || long_of_.contains(name)) out += kEscape;
    out += name;
  });
}

Bytes NameDictionary::inflate(View json) const {
  return with_names(json, [this](View name, Bytes& out) {
    if (name.starts_with(kEscape)) {
      out += name.substr(1);
    } else if (const auto known = long_of_.find(name); known != long_of_.end()) {
      out += known->second;
    } else {
      out += name;
    }
  });
}

}  // namespace holdfast
