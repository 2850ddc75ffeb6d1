// The house has floors, and includes point downwards only:
//
//   include/holdfast, src/contract  <  src/environment  <  src/backends/*, src/layers, src/engine
//     <  src/open, src/services  <  src/migrate  <  src/server  <  src/cli
//
// Those that share a floor do not include one another, nor one backend another. A public header needs the
// standard library, nlohmann/json and other public headers. Below the front doors, which are src/migrate,
// src/server and src/cli, only src/environment reads clocks, random numbers and files.

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <vector>

namespace {

namespace fs = std::filesystem;

struct Include {
  std::string name;
  bool is_system = false;
};

std::vector<Include> includes_of(const std::string& text) {
  std::vector<Include> found;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    const std::size_t hash = line.find_first_not_of(" \t");
    if (hash == std::string::npos || line[hash] != '#') continue;
    const std::size_t word = line.find_first_not_of(" \t", hash + 1);
    if (word == std::string::npos || line.compare(word, 7, "include") != 0) continue;
    const std::size_t open = line.find_first_of("\"<", word);
    if (open == std::string::npos) continue;
    const std::size_t close = line.find_first_of("\">", open + 1);
    found.push_back({line.substr(open + 1, close - open - 1), line[open] == '<'});
  }
  return found;
}

/// The floor of a file or include, by its path from src/: "backends/memory" for "backends/memory/x.h".
std::string floor_of(const std::string& path) {
  const std::size_t slash = path.find('/');
  if (slash == std::string::npos) return "";
  const std::string first = path.substr(0, slash);
  if (first != "backends") return first;
  return path.substr(0, std::min(path.find('/', slash + 1), path.size()));
}

constexpr int kFrontDoors = 5;
constexpr int kUnknown = 9;

int height(const std::string& floor) {
  if (floor == "holdfast") return 0;
  if (floor == "contract") return 1;
  if (floor == "environment") return 2;
  if (floor == "layers" || floor == "engine" || floor.starts_with("backends/")) return 3;
  if (floor == "open" || floor == "services") return 4;
  if (floor == "migrate") return kFrontDoors;
  if (floor == "server") return kFrontDoors + 1;
  if (floor == "cli") return kFrontDoors + 2;
  return kUnknown;
}

bool may_include(const std::string& from, const std::string& to) {
  return from == to || height(to) < height(from);
}

bool may_touch_system(const std::string& floor) {
  return floor == "environment" || height(floor) >= kFrontDoors;
}

/// What is wrong with a file, by its path from src/ or include/.
std::vector<std::string> problems_of(const std::string& path, const std::string& text) {
  static const std::vector<std::string> kOperatingSystem = {"fstream", "filesystem", "random",    "fcntl.h",
                                                            "time.h",  "ctime",      "sys/stat.h"};
  const std::string floor = floor_of(path);
  std::vector<std::string> problems;
  for (const Include& include : includes_of(text)) {
    if (include.is_system) {
      const bool is_allowed =
          include.name.find_first_of("./") == std::string::npos || include.name == "nlohmann/json.hpp";
      if (floor == "holdfast" && !is_allowed) problems.push_back(path + " needs <" + include.name + ">");
      const bool is_injected =
          std::find(kOperatingSystem.begin(), kOperatingSystem.end(), include.name) != kOperatingSystem.end();
      if (is_injected && !may_touch_system(floor)) problems.push_back(path + " goes round src/environment");
    } else if (height(floor_of(include.name)) != kUnknown && !may_include(floor, floor_of(include.name))) {
      problems.push_back(path + " includes " + include.name);
    }
  }
  for (const char* clock : {"steady_clock::now(", "system_clock::now(", "std::random_device"}) {
    if (!may_touch_system(floor) && text.find(clock) != std::string::npos) {
      problems.push_back(path + " uses " + clock + " and not the injected one");
    }
  }
  return problems;
}

/// The files of a folder by their path from it.
std::map<std::string, std::string> sources_below(const fs::path& folder) {
  std::map<std::string, std::string> sources;
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    if (!entry.is_regular_file() || !(name.ends_with(".h") || name.ends_with(".cc"))) continue;
    std::ifstream stream(entry.path());
    std::ostringstream text;
    text << stream.rdbuf();
    sources.emplace(fs::relative(entry.path(), folder).generic_string(), text.str());
  }
  return sources;
}

/// What the library is made of: every source but those of tests, and the headers that they include. Tests and
/// what only they include stand outside the house and may look into any window.
std::set<std::string> library_files(const std::map<std::string, std::string>& sources) {
  std::vector<std::string> to_visit;
  for (const auto& [path, text] : sources) {
    const std::string name = fs::path(path).filename().string();
    if (path.ends_with(".cc") && name.find("test") == std::string::npos) to_visit.push_back(path);
  }
  std::set<std::string> reached(to_visit.begin(), to_visit.end());
  while (!to_visit.empty()) {
    const std::string path = std::move(to_visit.back());
    to_visit.pop_back();
    for (const Include& include : includes_of(sources.at(path))) {
      if (sources.contains(include.name) && reached.insert(include.name).second)
        to_visit.push_back(include.name);
    }
  }
  return reached;
}

std::string lines(const std::vector<std::string>& texts) {
  std::string joined;
  for (const std::string& text : texts) joined += "\n  " + text;
  return joined;
}

TEST(Includes, PointDownwardsOnly) {
  const std::map<std::string, std::string> sources = sources_below(fs::path(HOLDFAST_SOURCE_DIR) / "src");
  const std::set<std::string> library = library_files(sources);
  EXPECT_TRUE(library.contains("contract/head.h"));
  std::vector<std::string> problems;
  for (const std::string& path : library) {
    for (std::string& problem : problems_of(path, sources.at(path))) problems.push_back(std::move(problem));
  }
  EXPECT_TRUE(problems.empty()) << lines(problems);
}

TEST(Includes, OfPublicHeadersAreTheStandardLibraryAndPublicHeaders) {
  const std::map<std::string, std::string> headers = sources_below(fs::path(HOLDFAST_SOURCE_DIR) / "include");
  EXPECT_TRUE(headers.contains("holdfast/store.h"));
  std::vector<std::string> problems;
  for (const auto& [path, text] : headers) {
    for (std::string& problem : problems_of(path, text)) problems.push_back(std::move(problem));
  }
  EXPECT_TRUE(problems.empty()) << lines(problems);
}

TEST(IncludesRule, CountsAHeaderThatOnlyTestsIncludeAsATest) {
  const std::map<std::string, std::string> sources = {
      {"engine/a.cc", "#include \"engine/a.h\"\n"},
      {"engine/a.h", ""},
      {"engine/a_test.cc", "#include \"engine/fixture.h\"\n"},
      {"engine/fixture.h", "#include \"backends/memory/memory_backend.h\"\n"}};
  EXPECT_EQ(library_files(sources), (std::set<std::string>{"engine/a.cc", "engine/a.h"}));
}

TEST(IncludesRule, LetsEachFloorSeeItselfAndThoseBelow) {
  EXPECT_TRUE(problems_of("engine/a.cc", "#include \"engine/b.h\"\n#include \"contract/c.h\"\n").empty());
  EXPECT_TRUE(problems_of("backends/file/a.cc", "#include \"backends/file/b.h\"\n").empty());
  EXPECT_TRUE(problems_of("open/a.cc", "#include \"backends/file/b.h\"\n#include \"layers/c.h\"\n").empty());
  EXPECT_TRUE(problems_of("cli/a.cc", "#include \"server/b.h\"\n#include <fstream>\n").empty());
  EXPECT_TRUE(problems_of("holdfast/a.h", "#include <nlohmann/json.hpp>\n").empty());
  EXPECT_TRUE(problems_of("holdfast/a.h", "#include <vector>\n#include \"holdfast/b.h\"\n").empty());
}

TEST(IncludesRule, FindsEveryWayUpAndAcross) {
  for (const auto& [from, to] :
       std::vector<std::pair<std::string, std::string>>{{"holdfast/a.h", "contract/b.h"},
                                                        {"contract/a.cc", "environment/b.h"},
                                                        {"environment/a.cc", "engine/b.h"},
                                                        {"engine/a.cc", "layers/b.h"},
                                                        {"layers/a.cc", "engine/b.h"},
                                                        {"layers/a.cc", "backends/memory/b.h"},
                                                        {"backends/file/a.cc", "backends/memory/b.h"},
                                                        {"backends/file/a.cc", "engine/b.h"},
                                                        {"engine/a.cc", "open/b.h"},
                                                        {"engine/a.cc", "services/b.h"},
                                                        {"services/a.cc", "open/b.h"},
                                                        {"services/a.cc", "migrate/b.h"},
                                                        {"server/a.cc", "cli/b.h"}}) {
    EXPECT_EQ(problems_of(from, "  #  include \"" + to + "\"\n").size(), 1u) << from << " " << to;
  }
}

TEST(IncludesRule, FindsForeignHeadersInPublicOnesAndWaysRoundTheEnvironment) {
  EXPECT_EQ(problems_of("holdfast/a.h", "#include <absl/container/btree_map.h>\n").size(), 1u);
  EXPECT_EQ(problems_of("holdfast/a.h", "#include <sqlite3.h>\n").size(), 1u);
  EXPECT_EQ(problems_of("engine/a.cc", "#include <fstream>\n").size(), 1u);
  EXPECT_EQ(problems_of("layers/a.cc", "auto now = std::chrono::steady_clock::now();\n").size(), 1u);
  EXPECT_TRUE(problems_of("environment/a.cc", "#include <fstream>\nsteady_clock::now();\n").empty());
}

}  // namespace
