#include "support/targets.h"

#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>

#include "holdfast/open.h"

namespace holdfast::testing_support {

std::string Target::url(const std::string& folder) const {
  std::string url = name;
  const std::size_t at = url.find("{}");
  return at == std::string::npos ? url : url.replace(at, 2, folder);
}

std::unique_ptr<Backend> Target::open(const std::string& folder, const Environment& environment) const {
  return open_backend(url(folder), environment);
}

std::string Target::test_name() const {
  std::string out;
  for (const char c : name.substr(0, name.find(":"))) out += c == '+' ? '_' : c;
  if (name.find("durable=false") != std::string::npos) out += "_not_durable";
  return out;
}

std::vector<Target> targets() {
  const std::vector<Target> all = {
      {"memory:", true, false},
      {"file://{}", false, false},
      {"file://{}?durable=false", true, false},
      {"sqlite://{}/store.db", false, true},
      {"metered+memory:", true, false},
      {"per_database+memory:", true, false},
      {"per_database+sqlite://{}/databases", false, true},
      {"per_database+file://{}/databases", false, false},
  };
  const char* wanted = std::getenv("HOLDFAST_TARGETS");
  if (wanted == nullptr) return all;
  std::vector<Target> chosen;
  std::string list = wanted;
  for (std::size_t from = 0; from <= list.size();) {
    const std::size_t comma = std::min(list.find(',', from), list.size());
    Target target{list.substr(from, comma - from)};
    for (const Target& each : all) {
      if (each.name == target.name) target = each;
    }
    if (!target.name.empty()) chosen.push_back(std::move(target));
    from = comma + 1;
  }
  return chosen;
}

TemporaryFolder::TemporaryFolder() {
  static std::atomic<int> count{0};
  const auto folder = std::filesystem::temp_directory_path() /
                      ("holdfast-test-" + std::to_string(getpid()) + "-" + std::to_string(count++));
  std::filesystem::create_directories(folder);
  path_ = folder.string();
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

}  // namespace holdfast::testing_support
