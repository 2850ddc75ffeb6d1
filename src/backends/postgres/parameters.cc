#include "backends/postgres/parameters.h"

#include <libpq-fe.h>

#include <algorithm>
#include <memory>

#include "contract/percent.h"

namespace holdfast::postgres {
namespace {

/// Options that libpq knows and that are passed on as they are. None of them can route to a replica: only a
/// primary is accepted, whatever the URL says (target_session_attrs is ours to set).
struct PassedOn {
  const char* name;
  const char* help;
};
constexpr PassedOn kPassedOn[] = {
    {"host", "host names or the folder of a unix socket, instead of those in front of the path"},
    {"port", "port of the server"},
    {"user", "role to log in as"},
    {"password", "its password; PGPASSWORD or a password file keep it out of the URL"},
    {"passfile", "file with passwords, instead of ~/.pgpass"},
    {"dbname", "PostgreSQL database, instead of the path's"},
    {"service", "section of the connection service file"},
    {"sslmode", "disable, allow, prefer, require, verify-ca or verify-full"},
    {"sslrootcert", "file of the certificate authorities that are trusted"},
    {"sslcert", "file of the client's certificate"},
    {"sslkey", "file of the client's key"},
    {"sslcrl", "file of revoked certificates"},
    {"channel_binding", "disable, prefer or require"},
    {"gssencmode", "disable, prefer or require"},
    {"application_name", "name that the server shows for the connections"},
    {"tcp_user_timeout", "ms until a peer that does not acknowledge counts as gone"},
    {"keepalives_idle", "s of silence before the peer is asked whether it is there"},
};

constexpr std::size_t kLongestSchema = 40;

struct FreeOptions {
  void operator()(PQconninfoOption* options) const { PQconninfoFree(options); }
};

void check_schema(const std::string& schema) {
  const bool is_plain = std::all_of(schema.begin(), schema.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
  });
  const bool begins_well =
      !schema.empty() && (schema[0] < '0' || schema[0] > '9') && !schema.starts_with("pg_");
  if (!is_plain || !begins_well || schema.size() > kLongestSchema) {
    throw Error(
        Code::invalid_argument,
        "option \"schema\" of postgres: is 1 to 40 lower-case letters, digits and '_', and begins with "
        "neither a digit nor \"pg_\"");
  }
}

}  // namespace

std::vector<OptionSpec> option_specs() {
  using Kind = OptionSpec::Kind;
  std::vector<OptionSpec> specs = {
      {"schema", Kind::text, "holdfast",
       "PostgreSQL schema that holds the store's tables; nothing else is touched"},
      {"pool_size", Kind::integer, "10", "most connections for reads", 1, 1'000},
      {"lanes", Kind::integer, "4", "connections for commits; databases are spread over them", 1, 64},
      {"pool_timeout_ms", Kind::integer, "5000", "how long a call waits for a free connection", 1, 600'000},
      {"pool_idle_ms", Kind::integer, "60000", "connections that are idle for longer are closed", 1},
      {"pool_lifetime_ms", Kind::integer, "1800000", "connections that are older are replaced", 1},
      {"connect_timeout_ms", Kind::integer, "5000", "how long making a connection may take", 1, 600'000},
      {"prepared_statements", Kind::boolean, "true",
       "false for a transaction pooler that does not know prepared statements"},
  };
  for (const PassedOn& each : kPassedOn) specs.push_back({each.name, Kind::text, "", each.help});
  return specs;
}

Settings settings_of(const Url& url, const Options& options) {
  Settings settings;
  settings.schema = options.text("schema");
  check_schema(settings.schema);
  std::string dbname = url.path.substr(url.path.starts_with('/') ? 1 : 0);
  const std::size_t slash = dbname.find('/');
  if (slash != std::string::npos) {
    const std::string place = dbname.substr(slash + 1);
    dbname.resize(slash);
    settings.schema += "_" + place;
    check_schema(place.empty() ? place : "p" + place);
  }
  const auto ms = [&](const char* name) { return std::chrono::milliseconds(options.integer(name)); };
  settings.pool_size = static_cast<std::size_t>(options.integer("pool_size"));
  settings.lanes = static_cast<std::size_t>(options.integer("lanes"));
  settings.pool_timeout = ms("pool_timeout_ms");
  settings.pool_idle = ms("pool_idle_ms");
  settings.pool_lifetime = ms("pool_lifetime_ms");
  settings.connect_timeout = ms("connect_timeout_ms");
  settings.prepared_statements = options.boolean("prepared_statements");

  // libpq takes the authority apart: several hosts, sockets, IPv6. Its message could repeat a secret.
  const std::string text = "postgresql://" + url.authority + "/" + percent_encoded(dbname);
  char* message = nullptr;
  const std::unique_ptr<PQconninfoOption, FreeOptions> parsed(PQconninfoParse(text.c_str(), &message));
  if (message != nullptr) PQfreemem(message);
  if (!parsed) {
    throw Error(
        Code::invalid_argument,
        "what stands between // and the path of a postgres: URL is USER:PASSWORD@HOST:PORT with every "
        "other character percent-encoded; it cannot be read");
  }
  std::map<std::string, std::string> known;
  for (const PQconninfoOption* each = parsed.get(); each->keyword != nullptr; ++each) {
    if (each->val != nullptr && *each->val != '\0') known[each->keyword] = each->val;
  }
  for (const PassedOn& each : kPassedOn) {
    const std::string& value = options.text(each.name);
    if (!value.empty()) known[each.name] = value;
  }
  known["client_encoding"] = "UTF8";
  known["fallback_application_name"] = "holdfast";
  known["target_session_attrs"] = "primary";
  settings.connection.assign(known.begin(), known.end());
  return settings;
}

}  // namespace holdfast::postgres
