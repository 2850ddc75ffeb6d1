// What can be opened: the one place in the house that knows every backend and every layer.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "contract/url.h"
#include "holdfast/layers.h"
#include "holdfast/store.h"

namespace holdfast {

/// A layer as a prefix of a URL's scheme. Its options carry its name: "faulty_seed".
struct LayerFactory {
  /// What a layer is wrapped around: the rest of the URL's stack, at the URL's path or at another one.
  struct Below {
    const Url& url;
    const Options& options;
    const Environment& environment;
    const BackendFactory& backend;
    std::shared_ptr<Metrics> metrics;
    /// Outlives the call; it may be kept.
    std::function<std::unique_ptr<Backend>(const std::string& path)> open;
  };
  std::string name;
  std::vector<OptionSpec> options;
  std::function<std::unique_ptr<Backend>(const Below&)> wrap;
};

std::vector<BackendFactory> backend_factories();
std::vector<LayerFactory> layer_factories();
/// The options that every URL accepts, whatever it names.
std::vector<OptionSpec> store_options();

/// A URL whose every word has been found and whose every option has been judged.
struct OpenPlan {
  Url url;
  BackendFactory backend;
  std::vector<LayerFactory> layers;  ///< outermost first
  Options options;
};
/// Throws invalid_argument.
OpenPlan plan(const Url& url);

/// What the URL says wins over what the code says; what neither says is the default.
StoreOptions with_url(StoreOptions options, const OpenPlan& plan);

/// "dir/name", and "name" alone in a path that is empty.
std::string path_in(const std::string& folder, const std::string& name);

}  // namespace holdfast
