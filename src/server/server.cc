#include "server/server.h"

#include <algorithm>

#include "contract/url.h"
#include "environment/read_file.h"
#include "holdfast/event_pruner.h"
#include "holdfast/open.h"
#include "holdfast/schedules.h"
#include "open/registry.h"
#include "server/json.h"
#include "server/router.h"
#include "server/routes.h"
#include "server/store_sizes.h"
#include "services/store_rounds.h"

namespace holdfast::server {
namespace {

/// How often indexes are looked for that nobody builds any more.
constexpr std::chrono::minutes kIndexInterval{1};

std::string name_of(const Url& url) {
  std::string name;
  for (const std::string& layer : url.layers) name += layer + "+";
  name += url.scheme + ":";
  const std::size_t at = url.authority.rfind('@');
  const std::string host = at == std::string::npos ? url.authority : url.authority.substr(at + 1);
  if (!host.empty() || url.path.starts_with('/')) name += "//" + host;
  return name + url.path;
}

HttpOptions http_options(const ServerConfig& config, FileSystem& files) {
  HttpOptions options;
  std::tie(options.address, options.port) = split_address(config.listen);
  if (!config.tls_certificate_file.empty()) {
    options.tls_certificate_pem = read_file(files, config.tls_certificate_file);
    options.tls_key_pem = read_file(files, config.tls_key_file);
  }
  options.io_threads = config.io_threads;
  options.worker_threads = config.worker_threads;
  options.limits = config.limits;
  return options;
}

}  // namespace

OpenStore open_store(View url, const Environment& environment) {
  Config config;
  config.store = url;
  return open_store(config, environment);
}

OpenStore open_store(const Config& config, const Environment& environment) {
  OpenStore opened;
  const Url parsed = Url::parse(config.store);
  opened.name = name_of(parsed);
  if (const std::size_t bound = config.databases.size()) {
    opened.name += " and " + std::to_string(bound) + (bound == 1 ? " bound database" : " bound databases");
  }
  opened.metrics = std::make_shared<Metrics>();
  StoreOptions options;
  options.environment = environment.completed();
  options = with_url(std::move(options), plan(parsed));
  auto backend = open_backend(config, options.environment, opened.metrics);
  if (std::find(parsed.layers.begin(), parsed.layers.end(), "metered") == parsed.layers.end()) {
    backend = metered(std::move(backend), options.environment, opened.metrics);
  }
  opened.store = Store::open(std::move(backend), std::move(options));
  return opened;
}

struct Server::Impl {
  Impl(const ServerConfig& config, Tokens tokens, OpenStore opened, const Environment& an_environment,
       RequestLog* log)
      : environment(an_environment.completed()),
        state(make_state(std::move(tokens), std::move(opened))),
        router(*state, all_routes(), log) {
    const HttpOptions options = http_options(config, *environment.files);
    if (!state->has_tokens && !is_loopback_address(options.address)) {
      throw Error(Code::invalid_argument,
                  "without tokens the server listens on loopback only; give it a token_file "
                  "to listen on " +
                      options.address);
    }
    state->requests = &router.metrics();
    if (config.size_interval.count() > 0) {
      sizes.emplace(state->store, config.size_interval, environment.clock,
                    [log](const Bytes& database, const std::exception& error) {
                      warn(log, "the sizes of a database could not be counted", database, error);
                    });
      state->sizes = &*sizes;
    }
    state->http = &no_counters;
    http = std::make_unique<HttpServer>(options, router, environment);
    state->http = &http->counters();
    if (config.prune_interval.count() > 0) pruner.emplace(state->store, pruner_options(config, log));
    if (config.schedule_interval.count() > 0) scheduler.emplace(state->store, scheduler_options(config, log));
    index_rounds.emplace(state->store, index_rounds_options(log));
  }

  /// Requests that wait are answered while there are connections to do so.
  ~Impl() { state->long_polls.close(); }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  StoreRounds::Options index_rounds_options(RequestLog* log) {
    StoreRounds::Options options;
    options.interval = kIndexInterval;
    options.clock = environment.clock;
    options.visit = [this](const Bytes& database, const std::stop_token&) {
      state->index_builds.resume(state->store->database(database));
    };
    options.on_error = [log](const Bytes& database, const std::exception& error) {
      warn(log, "indexes of records could not be looked at", database, error);
    };
    return options;
  }

  static void warn(RequestLog* log, View message, const Bytes& database, const std::exception& error) {
    if (log == nullptr) return;
    log->warn(message, "\"database\":" + json_quoted(database) + ",\"error\":" + json_quoted(error.what()));
  }

  EventPrunerOptions pruner_options(const ServerConfig& config, RequestLog* log) const {
    EventPrunerOptions options;
    options.interval = config.prune_interval;
    options.clock = environment.clock;
    options.on_error = [log](const Bytes& database, const std::exception& error) {
      warn(log, "event streams could not be pruned", database, error);
    };
    return options;
  }

  ScheduleRunnerOptions scheduler_options(const ServerConfig& config, RequestLog* log) const {
    ScheduleRunnerOptions options;
    options.interval = config.schedule_interval;
    options.clock = environment.clock;
    options.on_error = [log](const Bytes& database, const std::exception& error) {
      warn(log, "schedules could not all be run", database, error);
    };
    return options;
  }

  std::unique_ptr<ServerState> make_state(Tokens tokens, OpenStore opened) const {
    auto made = std::make_unique<ServerState>();
    made->store = std::move(opened.store);
    made->store_name = std::move(opened.name);
    made->metrics = std::move(opened.metrics);
    made->environment = environment;
    made->has_tokens = !tokens.empty();
    made->tokens = std::make_shared<const Tokens>(std::move(tokens));
    return made;
  }

  const Environment environment;
  HttpCounters no_counters;  // until there is a server that counts
  const std::unique_ptr<ServerState> state;
  Router router;
  std::optional<StoreSizes> sizes;
  std::unique_ptr<HttpServer> http;
  std::optional<EventPruner> pruner;
  std::optional<ScheduleRunner> scheduler;
  std::optional<StoreRounds> index_rounds;
};

Server::Server(const ServerConfig& config, Tokens tokens, OpenStore store, const Environment& environment,
               RequestLog* log)
    : impl_(std::make_unique<Impl>(config, std::move(tokens), std::move(store), environment, log)) {}
Server::~Server() = default;

std::uint16_t Server::port() const { return impl_->http->port(); }
std::size_t Server::open_connections() const { return impl_->http->counters().connections_open.load(); }

void Server::replace_tokens(Tokens tokens) {
  if (tokens.empty() == impl_->state->has_tokens) {
    refuse_request("a server that began with tokens keeps needing them, and one that began without has none");
  }
  impl_->state->tokens = std::make_shared<const Tokens>(std::move(tokens));
}

void Server::cut() { impl_->http->cut(); }

bool Server::drain(std::chrono::milliseconds limit) {
  impl_->state->is_draining = true;
  impl_->state->long_polls.stop();
  return impl_->http->drain(limit);
}

}  // namespace holdfast::server
