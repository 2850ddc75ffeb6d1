#include "contract/url.h"

#include <algorithm>
#include <charconv>
#include <numeric>
#include <optional>

#include "contract/assert.h"
#include "contract/percent.h"

namespace holdfast {
namespace {

[[noreturn]] void refuse(const std::string& message) { throw Error(Code::invalid_argument, message); }

std::string joined(std::span<const std::string> words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : ", ") + word;
  return text;
}

bool is_lower_letter(char c) { return c >= 'a' && c <= 'z'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }
/// `part` begins at byte `offset` of the URL, which is how a message can say where without saying what.
std::string decoded(View part, std::size_t offset) {
  const auto where = [&](std::size_t at) {
    return " at byte " + std::to_string(offset + at + 1) + " of the store URL";
  };
  std::string text;
  text.reserve(part.size());
  for (std::size_t i = 0; i < part.size(); ++i) {
    const std::size_t size = part[i] == '%' ? 3 : 1;
    if (part[i] == '#') refuse("a '#'" + where(i) + "; a store URL has no fragment, write %23");
    const std::optional<Bytes> character = percent_decoded(part.substr(i, size), false);
    if (!character) {
      refuse("a '%' without two hexadecimal digits" + where(i) + "; write %25 for the character itself");
    }
    if (character->front() == '\0') refuse("a NUL byte" + where(i));
    text += *character;
    i += size - 1;
  }
  return text;
}

/// The names before the colon, outermost layer first and the scheme last.
std::vector<std::string> parse_names(View text) {
  std::vector<std::string> names(1);
  for (const char c : text) {
    const char lower = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    if (c == '+') {
      names.emplace_back();
    } else if (is_lower_letter(lower) || is_digit(c) || c == '_') {
      names.back() += lower;
    } else {
      refuse(
          "what stands before the first ':' of a store URL is LAYER+LAYER+SCHEME of letters, digits and '_'");
    }
  }
  for (const std::string& name : names) {
    if (name.empty()) {
      refuse("a store URL begins with its scheme and a ':', as in memory: or layer+memory:; a name is empty");
    }
  }
  return names;
}

std::map<std::string, std::string> parse_options(View text, std::size_t offset) {
  std::map<std::string, std::string> options;
  std::size_t number = 0;
  while (true) {
    const std::size_t length = std::min(text.find('&'), text.size());
    const View option = text.substr(0, length);
    const std::string which = "option " + std::to_string(++number) + " of the store URL";
    const std::size_t equals = option.find('=');
    if (option.empty()) refuse(which + " is empty; options are name=value, separated by '&'");
    if (equals == View::npos) refuse(which + " has no '='; write name=value");
    if (equals == 0) refuse(which + " has no name; write name=value");
    const bool is_new = options
                            .emplace(decoded(option.substr(0, equals), offset),
                                     decoded(option.substr(equals + 1), offset + equals + 1))
                            .second;
    if (!is_new) refuse(which + " was given before; give every option once");
    if (length == text.size()) return options;
    text.remove_prefix(length + 1);
    offset += length + 1;
  }
}

std::size_t levenshtein(const std::string& a, const std::string& b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t substituted = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, substituted});
    }
  }
  return row.back();
}

std::optional<std::int64_t> parse_integer(const std::string& text) {
  std::int64_t number = 0;
  const char* end = text.data() + text.size();
  const auto [stopped, problem] = std::from_chars(text.data(), end, number);
  if (problem != std::errc{} || stopped != end) return std::nullopt;
  return number;
}

std::int64_t judged(const std::string& owner, const OptionSpec& spec, const std::string& text) {
  const std::string option = "option \"" + spec.name + "\" of " + owner;
  switch (spec.kind) {
    case OptionSpec::Kind::boolean:
      if (text != "true" && text != "false" && text != "1" && text != "0") {
        refuse(option + " is true or false");
      }
      return text == "true" || text == "1";
    case OptionSpec::Kind::integer: {
      const std::optional<std::int64_t> number = parse_integer(text);
      if (!number) refuse(option + " is a whole number");
      if (*number < spec.minimum || *number > spec.maximum) {
        refuse(option + " is " + std::to_string(*number) + ", it must lie between " +
               std::to_string(spec.minimum) + " and " + std::to_string(spec.maximum));
      }
      return *number;
    }
    case OptionSpec::Kind::text:
      return 0;
  }
  return 0;
}

}  // namespace

Url Url::parse(View text) {
  const std::size_t colon = text.find(':');
  if (colon == View::npos) {
    refuse("a store URL begins with its scheme and a ':', as in memory: or sqlite:///data/app.db");
  }
  Url url;
  url.layers = parse_names(text.substr(0, colon));
  url.scheme = std::move(url.layers.back());
  url.layers.pop_back();

  std::size_t offset = colon + 1;
  const std::size_t question = std::min(text.find('?', offset), text.size());
  View rest = text.substr(offset, question - offset);
  if (rest.starts_with("//")) {
    rest.remove_prefix(2);
    offset += 2;
    const std::size_t slash = std::min(rest.find('/'), rest.size());
    url.authority = std::string(rest.substr(0, slash));
    static_cast<void>(decoded(url.authority, offset));
    rest.remove_prefix(slash);
    offset += slash;
  }
  url.path = decoded(rest, offset);
  if (question + 1 < text.size()) url.options = parse_options(text.substr(question + 1), question + 1);
  return url;
}

std::string Url::text() const {
  std::string result;
  for (const std::string& layer : layers) result += layer + "+";
  result += scheme + ":";
  if (!authority.empty() || path.starts_with('/')) result += "//" + authority;
  result += percent_encoded(path, true);
  char separator = '?';
  for (const auto& [name, value] : options) {
    result += separator + percent_encoded(name) + "=" + percent_encoded(value);
    separator = '&';
  }
  return result;
}

Options::Options(const std::string& owner, std::span<const OptionSpec> specs,
                 const std::map<std::string, std::string>& values) {
  std::vector<std::string> known;
  for (const OptionSpec& spec : specs) {
    known.push_back(spec.name);
    const auto given = values.find(spec.name);
    const std::string& text = given == values.end() ? spec.default_value : given->second;
    const bool is_new = values_.emplace(spec.name, Value{spec.kind, text, judged(owner, spec, text)}).second;
    HOLDFAST_ASSERT(is_new);
  }
  for (const auto& [name, text] : values) {
    if (!values_.contains(name)) refuse(unknown_word("option", name, " of " + owner, known));
  }
}

const Options::Value& Options::value(const std::string& name, OptionSpec::Kind kind) const {
  const auto found = values_.find(name);
  HOLDFAST_ASSERT(found != values_.end() && found->second.kind == kind);
  return found->second;
}

bool Options::boolean(const std::string& name) const {
  return value(name, OptionSpec::Kind::boolean).number != 0;
}
std::int64_t Options::integer(const std::string& name) const {
  return value(name, OptionSpec::Kind::integer).number;
}
const std::string& Options::text(const std::string& name) const {
  return value(name, OptionSpec::Kind::text).text;
}

std::string nearest(const std::string& word, std::span<const std::string> known) {
  // A word of any length is compared, but a text that is no word at all is not worth a quadratic look.
  if (word.size() > 100) return "";
  std::size_t smallest = std::max<std::size_t>(2, word.size() / 3) + 1;
  std::string result;
  for (const std::string& candidate : known) {
    const std::size_t distance = levenshtein(word, candidate);
    if (distance < smallest && distance < word.size()) {
      smallest = distance;
      result = candidate;
    }
  }
  return result;
}

std::string unknown_word(const std::string& what, const std::string& word, const std::string& where,
                         std::span<const std::string> known) {
  const std::string near = nearest(word, known);
  if (!near.empty())
    return "unknown " + what + " \"" + word + "\"" + where + "; did you mean \"" + near + "\"?";
  if (known.empty()) return "unknown " + what + where + "; there is none";
  return "unknown " + what + where + "; known are: " + joined(known);
}

}  // namespace holdfast
