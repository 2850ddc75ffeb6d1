#include "open/registry.h"

#include <algorithm>
#include <map>
#include <mutex>

#include "backends/file/file_backend.h"
#include "backends/memory/memory_backend.h"
#include "backends/postgres/postgres_backend.h"
#include "backends/redis/redis_backend.h"
#include "backends/sqlite/sqlite_backend.h"
#include "contract/forwarding.h"
#include "holdfast/limits.h"
#include "open/config_file.h"

namespace holdfast {
namespace {

template <class Factory>
std::vector<std::string> names_of(const std::vector<Factory>& factories, std::string Factory::* name) {
  std::vector<std::string> names;
  names.reserve(factories.size());
  for (const Factory& factory : factories) names.push_back(factory.*name);
  return names;
}

template <class Factory>
Factory find(std::vector<Factory> factories, std::string Factory::* name, const std::string& word,
             const char* what) {
  for (Factory& factory : factories) {
    if (factory.*name == word) return std::move(factory);
  }
  const std::vector<std::string> known = names_of(factories, name);
  throw Error(Code::invalid_argument, unknown_word(what, word, " in the store URL", known));
}

LayerFactory metered_layer() {
  return {"metered", {}, [](const LayerFactory::Below& below) {
            return metered(below.open(below.url.path), below.environment, below.metrics);
          }};
}

OptionSpec per_mille(const char* name, const char* help) {
  return {name, OptionSpec::Kind::integer, "0", help, 0, 1000};
}

LayerFactory faulty_layer() {
  LayerFactory layer;
  layer.name = "faulty";
  layer.options = {
      {"faulty_seed", OptionSpec::Kind::integer, "1", "what all faults follow from", 0},
      per_mille("faulty_error_per_mille", "of 1,000 calls fail before anything was done"),
      per_mille("faulty_delay_per_mille", "of 1,000 calls are delayed"),
      per_mille("faulty_lost_answer_per_mille", "of 1,000 commits are done and their answer is lost"),
      per_mille("faulty_parked_copy_per_mille", "of 1,000 commits get no answer and come along later"),
      {"faulty_max_delay_ms", OptionSpec::Kind::integer, "5", "the longest delay", 0, 60'000}};
  layer.wrap = [](const LayerFactory::Below& below) {
    const auto number = [&](const char* name) { return static_cast<int>(below.options.integer(name)); };
    Faults faults;
    faults.seed = static_cast<std::uint64_t>(below.options.integer("faulty_seed"));
    faults.error_per_mille = number("faulty_error_per_mille");
    faults.delay_per_mille = number("faulty_delay_per_mille");
    faults.lost_answer_per_mille = number("faulty_lost_answer_per_mille");
    faults.parked_copy_per_mille = number("faulty_parked_copy_per_mille");
    faults.max_delay = std::chrono::milliseconds(below.options.integer("faulty_max_delay_ms"));
    return faulty(below.open(below.url.path), faults, below.environment);
  };
  return layer;
}

/// Keeps the stores of a kind that lives only as long as its object: the layer may close one and open it
/// again.
class KeptStores {
 public:
  explicit KeptStores(std::function<std::unique_ptr<Backend>(const std::string&)> open)
      : open_(std::move(open)) {}

  std::unique_ptr<Backend> open(const std::string& place) {
    const std::lock_guard lock(mutex_);
    std::shared_ptr<Backend>& store = stores_[place];
    if (!store) store = open_(place);
    return std::make_unique<ForwardingBackend>(store);
  }
  void remove(const std::string& place) {
    const std::lock_guard lock(mutex_);
    stores_.erase(place);
  }

 private:
  const std::function<std::unique_ptr<Backend>(const std::string&)> open_;
  std::mutex mutex_;
  std::map<std::string, std::shared_ptr<Backend>> stores_;
};

std::unique_ptr<Backend> open_per_database(const LayerFactory::Below& below) {
  const auto limit = static_cast<std::size_t>(below.options.integer("per_database_open_limit"));
  const std::string suffix = below.backend.place_suffix;
  if (below.backend.ephemeral) {
    const auto kept = std::make_shared<KeptStores>(below.open);
    return per_database(
        below.open(below.url.path), [kept](const std::string& place) { return kept->open(place); },
        [kept](const std::string& place) { kept->remove(place); }, below.environment, limit);
  }
  if (below.url.path.empty()) {
    throw Error(Code::invalid_argument,
                "per_database keeps its stores in a folder; name it in the URL, as in per_database+" +
                    below.url.scheme + ":///folder");
  }
  const auto path_of = [folder = below.url.path, suffix](const std::string& name) {
    return path_in(folder, name + suffix);
  };
  if (!below.backend.takes_authority) below.environment.files->create_folder(below.url.path);
  const RemovePlace remove = [path_of, url = below.url, remove_all = below.backend.remove,
                              environment = below.environment](const std::string& place) {
    Url inner = url;
    inner.path = path_of(place);
    if (remove_all) remove_all(inner, environment);
  };
  return per_database(
      below.open(path_of("catalog")),
      [path_of, open = below.open](const std::string& place) { return open(path_of(place)); }, remove,
      below.environment, limit);
}

LayerFactory per_database_layer() {
  LayerFactory layer;
  layer.name = "per_database";
  layer.options = {{"per_database_open_limit", OptionSpec::Kind::integer, "256",
                    "how many databases' stores are kept open", 1, 100'000}};
  layer.wrap = open_per_database;
  return layer;
}

}  // namespace

std::vector<BackendFactory> backend_factories() {
  std::vector<BackendFactory> factories = {memory_factory(),
                                           file_factory(),
                                           sqlite_factory(),
                                           postgres_factory("postgres"),
                                           postgres_factory("postgresql"),
                                           config_factory()};
  for (BackendFactory& factory : redis_factories()) factories.push_back(std::move(factory));
  return factories;
}

std::vector<LayerFactory> layer_factories() {
  return {metered_layer(), faulty_layer(), per_database_layer()};
}

std::vector<OptionSpec> store_options() {
  return {{"clock_skew_limit_ms", OptionSpec::Kind::integer, std::to_string(limits::kClockSkewLimitMs),
           "refuse operations whose clock is further behind the database's than this; 0: never", 0},
          {"timeout_ms", OptionSpec::Kind::integer, std::to_string(limits::kTimeoutMs),
           "the deadline of calls that are given none", 1, 24ll * 3600 * 1000},
          {"sweeper", OptionSpec::Kind::boolean, "true",
           "take part in removing expired entries and trimming change logs"}};
}

OpenPlan plan(const Url& url) {
  BackendFactory backend = find(backend_factories(), &BackendFactory::scheme, url.scheme, "scheme");
  if (!url.authority.empty() && !backend.takes_authority) {
    throw Error(Code::invalid_argument, "a URL of " + url.scheme + ": names no host; write " + url.scheme +
                                            ":///absolute/path or " + url.scheme + ":relative/path");
  }
  std::vector<OptionSpec> specs = store_options();
  specs.insert(specs.end(), backend.options.begin(), backend.options.end());
  std::vector<LayerFactory> layers;
  for (const std::string& name : url.layers) {
    if (std::count(url.layers.begin(), url.layers.end(), name) > 1) {
      throw Error(Code::invalid_argument, "a layer is given twice in the store URL; once is enough");
    }
    layers.push_back(find(layer_factories(), &LayerFactory::name, name, "layer"));
    specs.insert(specs.end(), layers.back().options.begin(), layers.back().options.end());
  }
  Options options(url.scheme + ":", specs, url.options);
  return {url, std::move(backend), std::move(layers), std::move(options)};
}

std::string path_in(const std::string& folder, const std::string& name) {
  if (folder.empty() || folder.ends_with('/')) return folder + name;
  return folder + "/" + name;
}

}  // namespace holdfast
