// What the tests of this folder share: schemas of their own on the server of the suites, a connection that
// looks behind the scenes, and roles with settings of their own.
#pragma once

#include <gtest/gtest.h>
#include <libpq-fe.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <map>
#include <memory>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include "backends/postgres/postgres_backend.h"
#include "holdfast/backend.h"

namespace holdfast::postgres {

inline std::string server_url(const char* variable = "HOLDFAST_TEST_POSTGRES") {
  const char* url = std::getenv(variable);
  if (url == nullptr)
    throw std::runtime_error(std::string(variable) + " is not set; scripts/test-servers start");
  return url;
}

/// Runs SQL as the owner of the server.
class Sql {
 public:
  Sql() : connection_(PQconnectdb(server_url().c_str())) {
    PQsetNoticeProcessor(connection_, [](void*, const char*) {}, nullptr);
  }
  ~Sql() { PQfinish(connection_); }
  Sql(const Sql&) = delete;
  Sql& operator=(const Sql&) = delete;

  /// The first column of every row, as text.
  std::vector<std::string> operator()(const std::string& text) const {
    PGresult* result = PQexec(connection_, text.c_str());
    const ExecStatusType status = PQresultStatus(result);
    if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK) ADD_FAILURE() << PQerrorMessage(connection_);
    std::vector<std::string> values;
    for (int row = 0; row < PQntuples(result); ++row) values.emplace_back(PQgetvalue(result, row, 0));
    PQclear(result);
    return values;
  }

 private:
  PGconn* connection_;
};

/// A word that no other test of any run has.
inline std::string unique_name() {
  static const unsigned kRun = std::random_device{}();
  static std::atomic<int> count{0};
  return "hf_" + std::to_string(getpid()) + "_" + std::to_string(kRun) + "_" + std::to_string(count++);
}

/// The machine's own.
inline const Environment& environment() {
  static const Environment kEnvironment = Environment{}.completed();
  return kEnvironment;
}

using UrlOptions = std::map<std::string, std::string>;

inline std::unique_ptr<Backend> open_url(const std::string& text, const UrlOptions& options = {},
                                         const Environment& with = {}) {
  const BackendFactory factory = postgres_factory();
  Url url = Url::parse(text);
  for (const auto& [name, value] : options) url.options[name] = value;
  return factory.open(url, Options("postgres:", factory.options, url.options), with.completed());
}

inline std::unique_ptr<Backend> open_store(const std::string& schema, UrlOptions options = {},
                                           const Environment& with = {}) {
  options.emplace("schema", schema);
  return open_url(server_url(), options, with);
}

}  // namespace holdfast::postgres
