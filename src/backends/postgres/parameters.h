// What a postgres: URL says, checked, as libpq wants it.
#pragma once

#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include "contract/url.h"

namespace holdfast::postgres {

struct Settings {
  /// Keywords and values of PQconnectStartParams.
  std::vector<std::pair<std::string, std::string>> connection;
  std::string schema;
  std::size_t pool_size = 0;
  std::size_t lanes = 0;
  std::chrono::milliseconds pool_timeout{0}, pool_idle{0}, pool_lifetime{0}, connect_timeout{0};
  bool prepared_statements = true;
};

std::vector<OptionSpec> option_specs();

/// The path is /DBNAME, or /DBNAME/PLACE for a store of a per_database layer, which gets a schema of its own.
/// Throws invalid_argument without repeating any part of the URL.
Settings settings_of(const Url& url, const Options& options);

}  // namespace holdfast::postgres
