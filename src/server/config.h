// What a server is told: by flags, by the environment, by holdfast.toml, in that order of precedence. One
// table has every setting with its names in all three, so that they cannot differ.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "holdfast/config.h"
#include "holdfast/environment.h"
#include "holdfast/types.h"
#include "server/http/http_server.h"

namespace holdfast::server {

struct ServerConfig {
  std::string store = "sqlite:data/holdfast.db";
  Config bindings;                        ///< of the file; its own `store` is empty
  std::string listen = "127.0.0.1:7411";  ///< ADDRESS:PORT, [ADDRESS]:PORT for IPv6
  std::string token_file;
  std::string tls_certificate_file;
  std::string tls_key_file;
  std::string log_level = "info";
  std::string log_file;
  std::chrono::milliseconds drain_timeout{10'000};
  std::chrono::milliseconds prune_interval{60'000};    ///< 0: never
  std::chrono::milliseconds schedule_interval{1'000};  ///< 0: never
  std::chrono::milliseconds size_interval{60'000};     ///< 0: never
  std::size_t io_threads = 2;
  std::size_t worker_threads = 64;
  HttpLimits limits;
};

/// One thing that can be set. The flag is --name with '-' for '_', the variable HOLDFAST_NAME.
struct Setting {
  std::string name;   ///< "worker_threads"
  std::string table;  ///< of the TOML file: "server", or "" for the top
  std::string help;
  bool is_number = false;
  std::int64_t minimum = 0;
  std::int64_t maximum = 0;
  std::function<void(ServerConfig&, const std::string& text, std::int64_t number)> set;
  std::function<std::string(const ServerConfig&)> get;

  std::string flag() const;
  std::string variable() const;
};

/// All settings, in the order in which help shows them.
std::span<const Setting> settings();

struct ConfigSources {
  /// By setting name.
  std::map<std::string, std::string> flags;
  std::function<std::optional<std::string>(const std::string& variable)> environment;
  /// The text of holdfast.toml, if there is one, and its path for messages.
  std::string file_text;
  std::string file_path;
};

/// Throws invalid_argument: for an unknown key or flag naming the nearest known one, for a value out of its
/// bounds naming them, and where it came from.
ServerConfig load_config(const ConfigSources& sources);

/// "[::1]:80" as "::1" and 80. Throws invalid_argument.
std::pair<std::string, std::uint16_t> split_address(const std::string& listen);
bool is_loopback_address(const std::string& address);

}  // namespace holdfast::server
