#include "server/config.h"

#include <algorithm>
#include <charconv>
#include <stdexcept>

#include "contract/url.h"
#include "server/json.h"

#define TOML_EXCEPTIONS 1
#define TOML_ENABLE_FORMATTERS 0
// The parser asserts what some files are not ("[[["): that is for the file's author to know, and no reason to
// abort.
namespace holdfast::server {
static constexpr void require_toml(bool is_well_formed) {
  if (!is_well_formed) throw std::invalid_argument("it is not well-formed");
}
}  // namespace holdfast::server
#undef NDEBUG
#define TOML_ASSERT(condition) ::holdfast::server::require_toml(static_cast<bool>(condition))
#include <toml++/toml.h>

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

void apply_table(ServerConfig& config, const toml::table& table, const std::string& name,
                 const std::string& path) {
  std::vector<std::string> known;
  for (const Setting& setting : all_settings()) {
    if (setting.table == name) known.push_back(setting.name);
  }
  if (name.empty()) known.emplace_back("server");
  for (const auto& [key, node] : table) {
    const std::string word(key.str());
    const std::string place = name.empty() ? "" : " of [" + name + "]";
    const std::string line = path + ", line " + std::to_string(node.source().begin.line);
    if (name.empty() && word == "server") {
      if (!node.is_table()) refuse_request(line + ": \"server\" is a table: write [server]");
      apply_table(config, *node.as_table(), "server", path);
      continue;
    }
    const auto setting = std::find_if(all_settings().begin(), all_settings().end(), [&](const Setting& each) {
      return each.table == name && each.name == word;
    });
    if (setting == all_settings().end())
      refuse_request(line + ": " + unknown_word("key", word, place, known));
    const std::string origin = line + ": \"" + word + "\"";
    apply(config, *setting, value_of(node, *setting, origin), origin);
  }
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
  if (!sources.file_text.empty()) {
    try {
      apply_table(config, toml::parse(sources.file_text), "", sources.file_path);
    } catch (const toml::parse_error& error) {
      refuse_request(sources.file_path + ", line " + std::to_string(error.source().begin.line) +
                     ": this is not TOML: " + std::string(error.description()));
    } catch (const std::invalid_argument& error) {
      refuse_request(sources.file_path + ": this is not TOML: " + error.what());
    }
  }
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
    refuse_request("listen is ADDRESS:PORT, as in 127.0.0.1:7411 or [::1]:7411");
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

std::string read_file(FileSystem& files, const std::string& path, std::size_t limit_bytes) {
  const auto file = files.open(path, FileMode::read);
  const std::uint64_t size = file->size_bytes();
  if (size > limit_bytes) {
    refuse_request("the file " + path + " has " + std::to_string(size) + " bytes; the maximum is " +
                   std::to_string(limit_bytes));
  }
  std::string text(size, '\0');
  text.resize(file->read(0, text.data(), text.size()));
  return text;
}

}  // namespace holdfast::server
