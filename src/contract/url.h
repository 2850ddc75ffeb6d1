// Store URLs and their options. A URL is LAYER+LAYER+SCHEME:REST?option=value&option=value; a backend or
// layer declares its options once, with type, bounds, default and help, and the same table parses them,
// documents them and names the nearest known word for a misspelt one.
//
// A URL may hold credentials, so no message repeats any part of one, but for a word that is a near miss of a
// known word: that is a typing error and no secret.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "holdfast/backend.h"
#include "holdfast/environment.h"
#include "holdfast/maintenance.h"

namespace holdfast {

struct OptionSpec {
  enum class Kind : std::uint8_t { boolean, integer, text };
  std::string name;  ///< whole words, unit last: "checkpoint_size_bytes"
  Kind kind = Kind::text;
  std::string default_value;
  std::string help;
  std::int64_t minimum = INT64_MIN;  ///< integer only
  std::int64_t maximum = INT64_MAX;
};

/// A parsed URL. Percent-encoding of path and options is already undone.
struct Url {
  std::vector<std::string> layers;  ///< outermost first
  std::string scheme;
  std::string authority;  ///< "user@host:1" of "postgres://user@host:1/name", as it was written
  std::string path;       ///< "/data/app.db" of "sqlite:///data/app.db"; relative for "sqlite:app.db"
  std::map<std::string, std::string> options;

  /// Throws invalid_argument saying what is wrong where.
  static Url parse(View text);
  /// The same URL as text, with everything that needs it percent-encoded: parse(url.text()) == url.
  std::string text() const;
  bool operator==(const Url&) const = default;
};

/// The options of a URL by a table of specifications. Values are checked when it is made; asking for a name
/// that is not in the table, or for another kind, is a mistake of the program and asserted.
class Options {
 public:
  /// Throws invalid_argument for an option that no specification names (with the nearest known name), and for
  /// a value of the wrong kind or outside its bounds. `owner` is for the message: "sqlite:".
  Options(const std::string& owner, std::span<const OptionSpec> specs,
          const std::map<std::string, std::string>& values);
  bool boolean(const std::string& name) const;
  std::int64_t integer(const std::string& name) const;
  const std::string& text(const std::string& name) const;

 private:
  struct Value {
    OptionSpec::Kind kind;
    std::string text;
    std::int64_t number = 0;  ///< of a boolean: 0 or 1
  };
  const Value& value(const std::string& name, OptionSpec::Kind kind) const;
  std::map<std::string, Value> values_;
};

/// The known word nearest to `word` (Levenshtein distance at most a third of its length, at least 2), or "".
std::string nearest(const std::string& word, std::span<const std::string> known);
/// "unknown option "timeot_ms" of sqlite:; did you mean "timeout_ms"?", or the list of the known words where
/// none is near. `what` is the noun in front, `where` follows the word and may be empty.
std::string unknown_word(const std::string& what, const std::string& word, const std::string& where,
                         std::span<const std::string> known);

/// How a kind of backend is made from a URL.
struct BackendFactory {
  std::string scheme;
  std::vector<OptionSpec> options;
  std::function<std::unique_ptr<Backend>(const Url&, const Options&, const Environment&)> open;
  /// Reads everything and changes nothing; may be empty: capability_missing.
  std::function<CheckReport(const Url&, const Options&, const Environment&)> check;
  /// Saves what can be saved and says what could not; may be empty.
  std::function<CheckReport(const Url&, const Options&, const Environment&)> repair;
  /// Removes everything that the URL names (used when a database of a per_database layer is dropped); may be
  /// empty.
  std::function<void(const Url&, const Environment&)> remove;
  /// Appended to the names that a per_database layer gives to the stores of its databases: ".db".
  std::string place_suffix;
  /// The data live only as long as the backend object: a per_database layer must not close it.
  bool ephemeral = false;
  /// Whether scheme://authority/path has a meaning; otherwise a URL with an authority is refused.
  bool takes_authority = false;
};

}  // namespace holdfast
