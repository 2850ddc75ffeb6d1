#include "server/serve.h"

#include <pthread.h>
#include <signal.h>

#include <atomic>
#include <ostream>
#include <thread>

#include "environment/read_file.h"
#include "server/json.h"
#include "server/server.h"

namespace holdfast::server {
namespace {

sigset_t handled_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&signals, signal);
  return signals;
}

std::string url_of(const ServerConfig& config, std::uint16_t port) {
  const std::string address = split_address(config.listen).first;
  const bool is_any = address == "0.0.0.0" || address == "::";
  const std::string host = is_any                                   ? "localhost"
                           : address.find(':') == std::string::npos ? address
                                                                    : "[" + address + "]";
  return (config.tls_certificate_file.empty() ? "http://" : "https://") + host + ":" + std::to_string(port);
}

void greet(std::ostream& out, const ServerConfig& config, const std::string& store, const Tokens& tokens,
           const std::string& url) {
  const std::string token = tokens.empty() ? "" : " -H \"Authorization: Bearer $TOKEN\"";
  out << "holdfast serves " << store << " at " << url << "\n";
  if (tokens.empty()) {
    out << "It has no tokens, so it listens on loopback only; whoever is on this machine may do "
           "everything.\n";
  } else {
    out << "It knows " << tokens.size() << (tokens.size() == 1 ? " token" : " tokens") << " of "
        << config.token_file
        << (config.tls_certificate_file.empty() ? "; without TLS they can be read on the way here" : "")
        << ".\n";
  }
  out << "Try:\n"
      << "  curl" << token << " -X PUT -d hello " << url << "/v1/databases/demo/entries/greeting\n"
      << "  curl" << token << " " << url << "/v1/databases/demo/entries/greeting\n"
      << "  curl" << token << " -N " << url << "/v1/databases/demo/watch\n"
      << std::flush;
}

Tokens read_tokens(const ServerConfig& config, const Environment& environment) {
  if (config.token_file.empty()) return {};
  Tokens tokens = Tokens::parse(read_file(*environment.files, config.token_file));
  if (tokens.empty())
    refuse_request("the token file " + config.token_file +
                   " has no token; `holdfast token NAME SCOPES` makes one");
  return tokens;
}

void reload_tokens(Server& server, const ServerConfig& config, const Environment& environment,
                   RequestLog& log) {
  try {
    server.replace_tokens(read_tokens(config, environment));
    log.info("tokens were read again");
  } catch (const Error& error) {
    log.warn("tokens could not be read again; the old ones stay", "\"error\":" + json_quoted(error.what()));
  }
}

/// Waits for requests in flight; whether all of them were answered.
bool drain(Server& server, const ServerConfig& config, const sigset_t& signals) {
  std::atomic<bool> drained = false;
  bool complete = false;
  std::thread drainer([&] {
    complete = server.drain(config.drain_timeout);
    drained = true;
  });
  const timespec pause{0, 50'000'000};
  bool was_cut = false;
  while (!drained) {
    const int signal = sigtimedwait(&signals, nullptr, &pause);
    if (signal != SIGTERM && signal != SIGINT) continue;
    was_cut = true;
    server.cut();
  }
  drainer.join();
  return complete && !was_cut;
}

}  // namespace

int serve(const ServerConfig& config, std::ostream& out, const Environment& given) {
  const Environment environment = given.completed();
  // Before any thread begins, so that all of them leave these signals to this one.
  const sigset_t signals = handled_signals();
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);

  RequestLog log(config.log_level, config.log_file);
  const Tokens tokens = read_tokens(config, environment);
  Config stores = config.bindings;
  stores.store = config.store;
  const OpenStore opened = open_store(stores, environment);
  Server server(config, tokens, opened, environment, &log);
  const std::string url = url_of(config, server.port());
  greet(out, config, opened.name, tokens, url);
  log.info("listening", "\"url\":" + json_quoted(url) + ",\"store\":" + json_quoted(opened.name));

  int signal = 0;
  while (true) {
    sigwait(&signals, &signal);
    if (signal != SIGHUP) break;
    if (!config.token_file.empty()) reload_tokens(server, config, environment, log);
  }
  log.info("stopping", "\"connections\":" + std::to_string(server.open_connections()));
  const bool complete = drain(server, config, signals);
  server.cut();
  opened.store->close();
  log.info("stopped", complete ? "\"cut\":false" : "\"cut\":true");
  return complete ? 0 : 1;
}

}  // namespace holdfast::server
