#include "holdfast/open.h"

#include "holdfast/store.h"
#include "open/registry.h"

namespace holdfast {
namespace {

/// Opens the part of the plan's stack that begins at `layer`, at `path`. The plan is shared because a layer
/// may open more of it later.
std::unique_ptr<Backend> open_from(const std::shared_ptr<const OpenPlan>& plan,
                                   const Environment& environment, const std::shared_ptr<Metrics>& metrics,
                                   std::size_t layer, const std::string& path) {
  Url url = plan->url;
  url.path = path;
  if (layer == plan->layers.size()) return plan->backend.open(url, plan->options, environment);
  const auto open_below = [plan, environment, metrics, layer](const std::string& below) {
    return open_from(plan, environment, metrics, layer + 1, below);
  };
  return plan->layers[layer].wrap({url, plan->options, environment, plan->backend, metrics, open_below});
}

std::string described(const OptionSpec& spec) {
  std::string line = "    " + spec.name + "=";
  switch (spec.kind) {
    case OptionSpec::Kind::boolean:
      line += "true|false";
      break;
    case OptionSpec::Kind::integer:
      line += "NUMBER";
      break;
    case OptionSpec::Kind::text:
      line += "TEXT";
      break;
  }
  return line + "  " + spec.help + (spec.default_value.empty() ? "" : " [" + spec.default_value + "]") + "\n";
}

std::string described(const std::string& title, const std::vector<OptionSpec>& specs) {
  std::string lines = "  " + title + "\n";
  for (const OptionSpec& spec : specs) lines += described(spec);
  return lines;
}

}  // namespace

std::unique_ptr<Backend> open_backend(View url, const Environment& environment,
                                      const std::shared_ptr<Metrics>& metrics) {
  const auto shared_plan = std::make_shared<const OpenPlan>(plan(Url::parse(url)));
  return open_from(shared_plan, environment.completed(), metrics, 0, shared_plan->url.path);
}

std::string describe_urls() {
  std::string text = "LAYER+LAYER+SCHEME:PATH?option=value&option=value\n\nschemes:\n";
  for (const BackendFactory& backend : backend_factories())
    text += described(backend.scheme + ":", backend.options);
  text += "\nlayers:\n";
  for (const LayerFactory& layer : layer_factories()) text += described(layer.name + "+", layer.options);
  return text + "\n" + described("every URL", store_options());
}

StoreOptions with_url(StoreOptions options, const OpenPlan& plan) {
  const auto given = [&](const char* name) { return plan.url.options.contains(name); };
  if (given("clock_skew_limit_ms")) {
    options.clock_skew_limit = std::chrono::milliseconds(plan.options.integer("clock_skew_limit_ms"));
  }
  if (given("timeout_ms")) options.timeout = std::chrono::milliseconds(plan.options.integer("timeout_ms"));
  if (given("sweeper")) options.sweeper = plan.options.boolean("sweeper");
  return options;
}

std::shared_ptr<Store> Store::open(View url, StoreOptions options) {
  options = with_url(std::move(options), plan(Url::parse(url)));
  // Two statements: in one call the options could be moved from before the backend is opened with them.
  auto backend = open_backend(url, options.environment);
  return open(std::move(backend), std::move(options));
}

}  // namespace holdfast
