#include "server/config.h"

#include <algorithm>
#include <charconv>

#include "contract/url.h"
#include "open/config_file.h"
#include "open/toml.h"
#include "server/json.h"

namespace holdfast::server {
namespace {

using Milliseconds = std::chrono::milliseconds;

Setting text(const char* name, const char* table, std::string ServerConfig::* member, const char* help) {
  Setting setting;
  setting.name = name;
  setting.table = table;
  setting.help = help;
  setting.set = [member](ServerConfig& config, const std::string& value, std::int64_t) {
    config.*member = value;
  };
  setting.get = [member](const ServerConfig& config) { return config.*member; };
  return setting;
}

template <class Get>
Setting number(const char* name, std::int64_t minimum, std::int64_t maximum, Get get, const char* help) {
  Setting setting;
  setting.name = name;
  setting.table = "server";
  setting.help = help;
  setting.is_number = true;
  setting.minimum = minimum;
  setting.maximum = maximum;
  setting.set = [get](ServerConfig& config, const std::string&, std::int64_t value) {
    auto& member = get(config);
    member = std::remove_reference_t<decltype(member)>(value);
  };
  setting.get = [get](const ServerConfig& config) {
    ServerConfig copy = config;
    const auto& member = get(copy);
    if constexpr (std::is_same_v<std::remove_cvref_t<decltype(member)>, Milliseconds>) {
      return std::to_string(member.count());
    } else {
      return std::to_string(member);
    }
  };
  return setting;
}

std::vector<Setting> make_settings() {
  constexpr std::int64_t kHourMs = 3'600'000;
  return {
      text("store", "", &ServerConfig::store, "the URL of the store"),
      text("listen", "server", &ServerConfig::listen,
           "ADDRESS:PORT, or [ADDRESS]:PORT for IPv6; port 0 is any"),
      text("token_file", "server", &ServerConfig::token_file,
           "the file of bearer tokens; without it only loopback addresses can be listened on"),
      text("tls_certificate_file", "server", &ServerConfig::tls_certificate_file,
           "the certificate chain in PEM; without it there is no TLS"),
      text("tls_key_file", "server", &ServerConfig::tls_key_file, "the private key in PEM"),
      text("log_level", "server", &ServerConfig::log_level,
           "trace, debug, info (a line per request), warn, error or off"),
      text("log_file", "server", &ServerConfig::log_file, "where log lines go; standard error without it"),
      number(
          "drain_timeout_ms", 0, kHourMs, [](auto& c) -> auto& { return c.drain_timeout; },
          "how long requests in flight may take to finish when the server stops"),
      number(
          "prune_interval_ms", 0, 24 * kHourMs, [](auto& c) -> auto& { return c.prune_interval; },
          "how often event streams are pruned by their retention; 0: never"),
      number(
          "schedule_interval_ms", 0, kHourMs, [](auto& c) -> auto& { return c.schedule_interval; },
          "how often the schedules of all databases are looked at, so how late a job may be sent; 0: never"),
      number(
          "size_interval_ms", 0, 24 * kHourMs, [](auto& c) -> auto& { return c.size_interval; },
          "how often what has changed is counted for the sizes in /metrics; 0: never"),
      number(
          "request_timeout_ms", 100, kHourMs, [](auto& c) -> auto& { return c.limits.request_timeout; },
          "for a request's head, and for each further 256 KiB in either direction"),
      number(
          "idle_timeout_ms", 100, 24 * kHourMs, [](auto& c) -> auto& { return c.limits.idle_timeout; },
          "between two requests of one connection"),
      number(
          "max_connections", 1, 1'000'000, [](auto& c) -> auto& { return c.limits.connections; },
          "connections at one time"),
      number(
          "max_header_bytes", 1'024, 1 << 20, [](auto& c) -> auto& { return c.limits.header_bytes; },
          "of a request's head"),
      number(
          "max_buffered_bytes", 1 << 20, std::int64_t{1} << 40,
          [](auto& c) -> auto& { return c.limits.buffered_bytes; },
          "of all large request and response bodies in memory together"),
      number(
          "max_streams", 1, 10'000, [](auto& c) -> auto& { return c.limits.streams; },
          "event streams and uploads at one time; each takes a thread"),
      number(
          "io_threads", 1, 256, [](auto& c) -> auto& { return c.io_threads; }, "threads that do network I/O"),
      number(
          "worker_threads", 1, 4'096, [](auto& c) -> auto& { return c.worker_threads; },
          "threads that wait for the store; their commits share writes"),
  };
}

const std::vector<Setting>& all_settings() {
  static const std::vector<Setting> settings = make_settings();
  return settings;
}

void apply(ServerConfig& config, const Setting& setting, const std::string& value,
           const std::string& origin) {
  if (!setting.is_number) return setting.set(config, value, 0);
  std::int64_t number = 0;
  const auto [end, problem] = std::from_chars(value.data(), value.data() + value.size(), number);
  if (problem != std::errc{} || end != value.data() + value.size() || number < setting.minimum ||
      number > setting.maximum) {
    refuse_request(origin + " is a whole number between " + std::to_string(setting.minimum) + " and " +
                   std::to_string(setting.maximum));
  }
  setting.set(config, value, number);
}

std::string value_of(const toml::node& node, const Setting& setting, const std::string& origin) {
  if (setting.is_number) {
    if (const auto number = node.value_exact<std::int64_t>()) return std::to_string(*number);
    refuse_request(origin + " is a whole number, without quotes");
  }
  if (const auto value = node.value_exact<std::string>()) return *value;
  refuse_request(origin + " is text in quotes");
}

/// The keys of [server].
void apply_table(ServerConfig& config, const toml::table& table, const std::string& path) {
  std::vector<std::string> known;
  for (const Setting& setting : all_settings()) {
    if (!setting.table.empty()) known.push_back(setting.name);
  }
  for (const auto& [key, node] : table) {
    const std::string word(key.str());
    const std::string line = line_of(node, path);
    const auto setting = std::ranges::find_if(
        all_settings(), [&](const Setting& each) { return !each.table.empty() && each.name == word; });
    if (setting == all_settings().end()) {
      refuse_request(line + ": " + unknown_word("key", word, " of [server]", known));
    }
    const std::string origin = line + ": \"" + word + "\"";
    apply(config, *setting, value_of(node, *setting, origin), origin);
  }
}

void apply_file(ServerConfig& config, const std::string& text, const std::string& path) {
  static const std::vector<std::string> kOurs = {"server"};
  const toml::table root = parse_toml(text, path);
  config.bindings = read_config(root, path, kOurs);
  if (!config.bindings.store.empty()) config.store = std::exchange(config.bindings.store, {});
  const toml::node* server = root.get("server");
  if (server == nullptr) return;
  if (!server->is_table()) {
    refuse_request(line_of(*server, path) + ": \"server\" is a table: write [server]");
  }
  apply_table(config, *server->as_table(), path);
}

}  // namespace

std::string Setting::flag() const {
  std::string flag = "--" + name;
  std::replace(flag.begin(), flag.end(), '_', '-');
  return flag;
}

std::string Setting::variable() const {
  std::string variable = "HOLDFAST_";
  for (const char c : name) variable += c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  return variable;
}

std::span<const Setting> settings() { return all_settings(); }

ServerConfig load_config(const ConfigSources& sources) {
  ServerConfig config;
  if (!sources.file_text.empty()) apply_file(config, sources.file_text, sources.file_path);
  if (sources.environment) {
    for (const Setting& setting : all_settings()) {
      if (const auto value = sources.environment(setting.variable())) {
        apply(config, setting, *value, "the variable " + setting.variable());
      }
    }
  }
  std::vector<std::string> known;
  for (const Setting& setting : all_settings()) known.push_back(setting.name);
  for (const auto& [name, value] : sources.flags) {
    const auto setting = std::find_if(all_settings().begin(), all_settings().end(),
                                      [&wanted = name](const Setting& each) { return each.name == wanted; });
    if (setting == all_settings().end()) refuse_request(unknown_word("setting", name, "", known));
    apply(config, *setting, value, "the flag " + setting->flag());
  }
  if (config.tls_certificate_file.empty() != config.tls_key_file.empty()) {
    refuse_request("TLS wants both tls_certificate_file and tls_key_file");
  }
  static_cast<void>(split_address(config.listen));
  return config;
}

std::pair<std::string, std::uint16_t> split_address(const std::string& listen) {
  const std::size_t colon = listen.rfind(':');
  std::string address = listen.substr(0, colon);
  const std::string port_text = colon == std::string::npos ? "" : listen.substr(colon + 1);
  std::uint16_t port = 0;
  const auto [end, problem] = std::from_chars(port_text.data(), port_text.data() + port_text.size(), port);
  if (port_text.empty() || problem != std::errc{} || end != port_text.data() + port_text.size()) {
    refuse_request(
        "listen is ADDRESS:PORT, as in 127.0.0.1:7411 or [::1]:7411, with a port of at most 65535");
  }
  if (address.starts_with('[') && address.ends_with(']')) {
    address = address.substr(1, address.size() - 2);
  } else if (address.find(':') != std::string::npos) {
    refuse_request("an IPv6 address to listen on stands in brackets, as in [::1]:7411");
  }
  if (address == "localhost") address = "127.0.0.1";
  return {address, port};
}

bool is_loopback_address(const std::string& address) {
  return address == "::1" || address.starts_with("127.");
}

}  // namespace holdfast::server
