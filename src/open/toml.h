// toml++, for files that anybody may have written.
#pragma once

#include <stdexcept>

#define TOML_EXCEPTIONS 1
#define TOML_ENABLE_FORMATTERS 0
// The parser asserts what some files are not ("[[["): that is for the file's author to know, and no reason to
// abort.
namespace holdfast {
constexpr void require_toml(bool is_well_formed) {
  if (!is_well_formed) throw std::invalid_argument("it is not well-formed");
}
}  // namespace holdfast
#undef NDEBUG
#define TOML_ASSERT(condition) ::holdfast::require_toml(static_cast<bool>(condition))
#include <toml++/toml.h>

namespace holdfast {

/// Throws invalid_argument with `path` and the line.
toml::table parse_toml(const std::string& text, const std::string& path);
/// "holdfast.toml, line 3".
std::string line_of(const toml::node& node, const std::string& path);

}  // namespace holdfast
