#include "support/targets.h"

#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <random>
#include <stdexcept>

#include "holdfast/open.h"

namespace holdfast::testing_support {

namespace {

/// What stands for `{word}` in the URL of a store in `folder`.
std::string meaning(const std::string& word, const std::string& folder) {
  if (word.empty()) return folder;
  if (word == "name") return std::filesystem::path(folder).filename().string();
  const char* url = std::getenv(word.c_str());
  if (url == nullptr) {
    throw std::runtime_error(word +
                             " is not set, so there is no server to test with: eval \"$(scripts/test-servers "
                             "start)\", or choose other stores with HOLDFAST_TARGETS");
  }
  // The scheme stands in the target's name already.
  const std::string text = url;
  return text.substr(text.find(':') + 1);
}

}  // namespace

std::string Target::url(const std::string& folder) const {
  std::string url;
  for (std::size_t from = 0; from < name.size();) {
    const std::size_t open = std::min(name.find('{', from), name.size());
    url += name.substr(from, open - from);
    const std::size_t close = std::min(name.find('}', open), name.size());
    if (open < name.size()) url += meaning(name.substr(open + 1, close - open - 1), folder);
    from = close + 1;
  }
  // A server's URL may come with options of its own.
  const std::size_t first = url.find('?');
  const std::size_t second = first == std::string::npos ? first : url.find('?', first + 1);
  if (second != std::string::npos) url[second] = '&';
  return url;
}

bool Target::keeps_data() const { return name.find('{') != std::string::npos; }

std::unique_ptr<Backend> Target::open(const std::string& folder, const Environment& environment) const {
  return open_backend(url(folder), environment);
}

std::string Target::test_name() const {
  std::string out;
  for (const char c : name.substr(0, name.find(":"))) out += c == '+' ? '_' : c;
  if (name.find("_CLUSTER}") != std::string::npos) out += "_cluster";
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
      {"redis:{HOLDFAST_TEST_REDIS}?prefix={name}:", false, true},
      {"redis:{HOLDFAST_TEST_REDIS_CLUSTER}?prefix={name}:", false, true},
      {"postgres:{HOLDFAST_TEST_POSTGRES}?schema={name}", false, true},
      {"per_database+postgres:{HOLDFAST_TEST_POSTGRES}?schema={name}", false, true},
  };
  const char* wanted = std::getenv("HOLDFAST_TARGETS");
  if (wanted == nullptr) return all;
  std::vector<Target> chosen;
  std::string list = wanted;
  for (std::size_t from = 0; from <= list.size();) {
    const std::size_t comma = std::min(list.find(',', from), list.size());
    Target target{list.substr(from, comma - from)};
    for (const Target& each : all) {
      if (each.name == target.name || each.test_name() == target.name) target = each;
    }
    if (!target.name.empty()) chosen.push_back(std::move(target));
    from = comma + 1;
  }
  return chosen;
}

TemporaryFolder::TemporaryFolder() {
  static std::atomic<int> count{0};
  // Process ids come back, and a server may outlive the folders that its stores are named for.
  static const unsigned kRun = std::random_device{}();
  const auto folder =
      std::filesystem::temp_directory_path() / ("holdfast_test_" + std::to_string(getpid()) + "_" +
                                                std::to_string(kRun) + "_" + std::to_string(count++));
  std::filesystem::create_directories(folder);
  path_ = folder.string();
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

}  // namespace holdfast::testing_support
