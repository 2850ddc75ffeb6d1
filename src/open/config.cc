#include "holdfast/config.h"

#include <algorithm>
#include <array>
#include <tuple>
#include <utility>

#include "contract/url.h"
#include "contract/validate.h"
#include "environment/read_file.h"
#include "holdfast/error.h"
#include "holdfast/open.h"
#include "open/config_file.h"
#include "open/registry.h"
#include "open/toml.h"

namespace holdfast {
namespace {

struct Placed {
  const char* database;
  const char* file;  ///< below the folder of data
};
constexpr std::array<Placed, 4> kPiri = {{{"scheduler", "pdp/state/state.db"},
                                          {"replicator", "replicator/replicator.db"},
                                          {"aggregator", "aggregator/jobqueue/jobqueue.db"},
                                          {"egress_tracker", "egress_tracker/jobqueue/jobqueue.db"}}};
const std::array<std::string, 1> kPresets = {"piri"};
/// Of a preset: the databases that it does not name.
constexpr Placed kOthers = {"holdfast", "holdfast.db"};

[[noreturn]] void refuse(const std::string& message) { throw Error(Code::invalid_argument, message); }

/// Runs `judge` and puts `place` in front of what it throws.
template <class Judge>
auto judged(const std::string& place, Judge&& judge) {
  try {
    return judge();
  } catch (const Error& error) {
    throw Error(error.code(), error.retry(), place + ": " + error.what());
  }
}

const toml::table& table_of(const toml::node& node, const std::string& line, const std::string& header) {
  if (!node.is_table()) refuse(line + ": this is a table: write " + header);
  return *node.as_table();
}

std::string text_of(const toml::node& node, const std::string& line, const std::string& key) {
  const auto text = node.value_exact<std::string>();
  if (!text) refuse(line + ": \"" + key + "\" is text in quotes");
  return *text;
}

/// The texts of a table that has no other keys than `known`.
template <std::size_t size>
std::map<std::string, std::string> texts_of(const toml::table& table, const std::string& header,
                                            const std::string& path,
                                            const std::array<std::string, size>& known) {
  std::map<std::string, std::string> texts;
  for (const auto& [key, node] : table) {
    const std::string word(key.str());
    const std::string line = line_of(node, path);
    if (std::ranges::find(known, word) == known.end()) {
      refuse(line + ": " + unknown_word("key", word, " of " + header, known));
    }
    texts[word] = text_of(node, line, word);
  }
  return texts;
}

/// Throws for a URL that names no store; a configuration is none.
void judge_url(const std::string& url) {
  const OpenPlan judged_plan = plan(Url::parse(url));
  if (judged_plan.url.scheme == kConfigScheme) refuse("a configuration names stores, not configurations");
}

std::string judged_url(const std::string& url, const std::string& line) {
  judged(line, [&] { judge_url(url); });
  return url;
}

void judge_name(View name) {
  validate_database_name(name);
  if (name.starts_with('!')) refuse("databases beginning with '!' belong to the engine");
}

void read_databases(Config& config, const toml::table& databases, const std::string& path) {
  static const std::array<std::string, 1> kKeys = {"store"};
  for (const auto& [key, node] : databases) {
    const Bytes name(key.str());
    const std::string line = line_of(node, path);
    const std::string header = "[databases." + name + "]";
    judged(line, [&] { judge_name(name); });
    auto texts = texts_of(table_of(node, line, header), header, path, kKeys);
    if (!texts.contains("store")) refuse(line + ": " + header + " has no \"store\"");
    config.databases[name] = judged_url(texts["store"], line);
    judged(line, [&] { refuse_store_options(texts["store"], header); });
  }
}

Config read_presets(const toml::table& presets, const std::string& path) {
  static const std::array<std::string, 2> kKeys = {"data_dir", "store"};
  Config config;
  for (const auto& [key, node] : presets) {
    const std::string name(key.str());
    const std::string line = line_of(node, path);
    const std::string header = "[presets." + name + "]";
    auto texts = texts_of(table_of(node, line, header), header, path, kKeys);
    config = judged(line, [&] { return Config::preset(name, texts["data_dir"], texts["store"]); });
  }
  return config;
}

std::string file_url(const std::string& path) {
  Url url;
  url.scheme = "sqlite";
  url.path = path;
  return url.text();
}

std::string schema_url(const std::string& store, const std::string& schema) {
  Url url = Url::parse(store);
  if (!url.options.emplace("schema", schema).second) {
    refuse("a preset gives each of its databases a schema of its own; the URL names one already");
  }
  static_cast<void>(plan(url));
  return url.text();
}

}  // namespace

toml::table parse_toml(const std::string& text, const std::string& path) {
  try {
    return toml::parse(text);
  } catch (const toml::parse_error& error) {
    refuse(path + ", line " + std::to_string(error.source().begin.line) +
           ": this is not TOML: " + std::string(error.description()));
  } catch (const std::invalid_argument& error) {
    refuse(path + ": this is not TOML: " + error.what());
  }
}

std::string line_of(const toml::node& node, const std::string& path) {
  return path + ", line " + std::to_string(node.source().begin.line);
}

Config Config::preset(const std::string& name, const std::string& data_dir, const std::string& store) {
  if (name != "piri") refuse(unknown_word("preset", name, "", kPresets));
  if (data_dir.empty() == store.empty()) {
    refuse("the preset " + name + " wants either a data_dir or a store");
  }
  Config config;
  const auto url_of = [&](const Placed& placed) {
    if (data_dir.empty()) return schema_url(store, placed.database);
    const std::string path = path_in(data_dir, placed.file);
    config.folders.push_back(path.substr(0, path.rfind('/')));
    return file_url(path);
  };
  for (const Placed& placed : kPiri) config.databases[placed.database] = url_of(placed);
  config.store = url_of(kOthers);
  return config;
}

Config Config::parse(const std::string& text, const std::string& path) {
  static const std::array<std::string, 1> kOfTheServer = {"server"};
  return read_config(parse_toml(text, path), path, kOfTheServer);
}

Config read_config(const toml::table& root, const std::string& path, std::span<const std::string> others) {
  std::vector<std::string> known = {"store", "databases", "presets"};
  known.insert(known.end(), others.begin(), others.end());
  for (const auto& [key, node] : root) {
    if (std::ranges::find(known, key.str()) != known.end()) continue;
    refuse(line_of(node, path) + ": " + unknown_word("key", std::string(key.str()), "", known));
  }
  Config config;
  const auto table = [&](const char* word, const char* header) -> const toml::table* {
    const toml::node* node = root.get(word);
    return node == nullptr ? nullptr : &table_of(*node, line_of(*node, path), header);
  };
  if (const auto* presets = table("presets", "[presets.NAME]")) config = read_presets(*presets, path);
  if (const auto* databases = table("databases", "[databases.NAME]")) {
    read_databases(config, *databases, path);
  }
  if (const toml::node* store = root.get("store")) {
    const std::string line = line_of(*store, path);
    config.store = judged_url(text_of(*store, line, "store"), line);
  }
  return config;
}

void refuse_store_options(const std::string& url, const std::string& owner) {
  const Url parsed = Url::parse(url);
  for (const OptionSpec& spec : store_options()) {
    if (parsed.options.contains(spec.name)) {
      refuse("\"" + spec.name + "\" is an option of the whole store, and has no place in the URL of " +
             owner);
    }
  }
}

std::unique_ptr<Backend> open_backend(const Config& config, const Environment& given,
                                      const std::shared_ptr<Metrics>& metrics) {
  if (config.store.empty())
    refuse("the configuration names no store for the databases that are bound to none");
  for (const auto& [name, url] : config.databases) {
    judge_name(name);
    refuse_store_options(url, "the database \"" + name + "\"");
  }
  const Environment environment = given.completed();
  for (const std::string& folder : config.folders) environment.files->create_folder(folder);
  if (config.databases.empty()) return open_backend(config.store, environment, metrics);
  std::map<std::string, std::shared_ptr<Backend>> stores;
  const auto open = [&](const std::string& url) {
    std::shared_ptr<Backend>& store = stores[url];
    if (!store) {
      judge_url(url);
      store = open_backend(url, environment, metrics);
    }
    return store;
  };
  const std::shared_ptr<Backend> otherwise = open(config.store);
  std::map<Bytes, std::shared_ptr<Backend>> bindings;
  for (const auto& [name, url] : config.databases) {
    bindings[name] = judged("the database \"" + name + "\"", [&] { return open(url); });
  }
  return bound_databases(std::move(bindings), otherwise, environment);
}

Config config_at(const Url& url, const Environment& environment) {
  if (url.path.empty()) refuse("config: names a file, as in config:holdfast.toml");
  return Config::parse(read_file(*environment.completed().files, url.path), url.path);
}

BackendFactory config_factory() {
  BackendFactory factory;
  factory.scheme = kConfigScheme;
  factory.open = [](const Url& url, const Options&, const Environment& environment) {
    const Config config = config_at(url, environment);
    // They are taken from the URL that opens the store, which is this one.
    if (!config.store.empty()) refuse_store_options(config.store, url.path + "; write it behind config:");
    return open_backend(config, environment);
  };
  return factory;
}

std::shared_ptr<Store> open_store(const Config& config, StoreOptions options) {
  if (!config.store.empty()) options = with_url(std::move(options), plan(Url::parse(config.store)));
  auto backend = open_backend(config, options.environment);
  return Store::open(std::move(backend), std::move(options));
}

}  // namespace holdfast
