#include "holdfast/maintenance.h"

#include <algorithm>
#include <iterator>
#include <set>

#include "open/config_file.h"
#include "open/registry.h"

namespace holdfast {
namespace {

using Maintain = std::function<CheckReport(const Url&, const Options&, const Environment&)>;

void add(CheckReport& sum, const CheckReport& part) {
  sum.problems.insert(sum.problems.end(), part.problems.begin(), part.problems.end());
  sum.lost.insert(sum.lost.end(), part.lost.begin(), part.lost.end());
  sum.databases += part.databases;
  sum.entries += part.entries;
  sum.commits += part.commits;
}

/// The stores in the folder of a per_database layer: places are hexadecimal, and `catalog` is there too.
std::vector<std::string> stores_in(const std::string& folder, const std::string& suffix, FileSystem& files) {
  std::vector<std::string> all = files.list(folder);
  std::ranges::move(files.list_folders(folder), std::back_inserter(all));
  std::vector<std::string> names;
  for (const std::string& name : all) {
    if (!name.ends_with(suffix)) continue;
    const std::string stem = name.substr(0, name.size() - suffix.size());
    const bool is_place =
        stem.size() == 16 && stem.find_first_not_of("0123456789abcdef") == std::string::npos;
    if (is_place || stem == "catalog") names.push_back(name);
  }
  return names;
}

std::set<std::string> urls_of(const Config& config) {
  std::set<std::string> urls;
  if (!config.store.empty()) urls.insert(config.store);
  for (const auto& [name, url] : config.databases) urls.insert(url);
  return urls;
}

CheckReport maintain(View text, const Environment& given, Maintain BackendFactory::* function,
                     const char* verb) {
  const OpenPlan judged = plan(Url::parse(text));
  const Environment environment = given.completed();
  if (judged.url.scheme == kConfigScheme) {
    CheckReport sum;
    for (const std::string& url : urls_of(config_at(judged.url, environment))) {
      add(sum, maintain(url, environment, function, verb));
    }
    return sum;
  }
  const Maintain& one = judged.backend.*function;
  if (!one) {
    throw Error(Code::capability_missing,
                std::string("a store of ") + judged.url.scheme + ": cannot be " + verb);
  }
  const std::vector<std::string>& layers = judged.url.layers;
  if (std::find(layers.begin(), layers.end(), "per_database") == layers.end()) {
    return one(judged.url, judged.options, environment);
  }
  CheckReport sum;
  for (const std::string& name :
       stores_in(judged.url.path, judged.backend.place_suffix, *environment.files)) {
    Url url = judged.url;
    url.path = path_in(judged.url.path, name);
    add(sum, one(url, judged.options, environment));
  }
  return sum;
}

}  // namespace

CheckReport check_store(View url, const Environment& environment) {
  return maintain(url, environment, &BackendFactory::check, "checked");
}

CheckReport repair_store(View url, const Environment& environment) {
  return maintain(url, environment, &BackendFactory::repair, "repaired");
}

}  // namespace holdfast
