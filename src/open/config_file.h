// What a file of bindings says, beside the tables of others.
#pragma once

#include <span>
#include <string>

#include "contract/url.h"
#include "holdfast/config.h"
#include "open/toml.h"

namespace holdfast {

/// As Config::parse(), with the tables that belong to others.
Config read_config(const toml::table& root, const std::string& path, std::span<const std::string> others);

inline constexpr const char* kConfigScheme = "config";
/// config:FILE
BackendFactory config_factory();
/// What the file says that such a URL names.
Config config_at(const Url& url, const Environment& environment);

/// Throws invalid_argument if `url` has options of a store; `owner` is what it is the URL of.
void refuse_store_options(const std::string& url, const std::string& owner);

}  // namespace holdfast
