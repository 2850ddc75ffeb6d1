// docs/services/persist.md says for each documented behaviour which test proves it, docs/services/piri.md for
// each test of Piri's, and docs/contract.md for each sentence of the engine: here is that the lists are
// complete, and that those tests exist.

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <vector>

namespace {

namespace fs = std::filesystem;

using Names = std::set<std::string>;

struct Row {
  std::string behaviour;
  std::string here;
  Names tests;
};

std::string text_of(const fs::path& path) {
  std::ifstream stream(path);
  return {std::istreambuf_iterator<char>(stream), {}};
}

/// What stands between backquotes.
Names quoted_in(const std::string& text) {
  static const std::regex kQuoted("`([^`]+)`");
  Names names;
  for (std::sregex_iterator at(text.begin(), text.end(), kQuoted), end; at != end; ++at) {
    names.insert((*at)[1].str());
  }
  return names;
}

/// The rows of three columns, without the heading.
std::vector<Row> rows_of(const std::string& document) {
  static const std::regex kRow("\\| (.*) \\| (.*) \\| (.*)\\|");
  std::vector<Row> rows;
  std::istringstream lines(document);
  for (std::string line; std::getline(lines, line);) {
    std::smatch cells;
    if (!std::regex_match(line, cells, kRow) || cells[1] == "behaviour") continue;
    rows.push_back({cells[1].str(), cells[2].str(), quoted_in(cells[3].str())});
  }
  return rows;
}

/// "Suite.name" of each test in a source.
void add_tests(const std::string& source, Names& tests) {
  static const std::regex kTest("\\bTEST(?:_P|_F)?\\(\\s*(\\w+)\\s*,\\s*(\\w+)\\s*\\)");
  for (std::sregex_iterator at(source.begin(), source.end(), kTest), end; at != end; ++at) {
    tests.insert((*at)[1].str() + "." + (*at)[2].str());
  }
}

Names all_tests() {
  Names tests;
  for (const char* folder : {"src", "tests"}) {
    for (const fs::directory_entry& entry :
         fs::recursive_directory_iterator(fs::path(HOLDFAST_SOURCE_DIR) / folder)) {
      const std::string name = entry.path().filename().string();
      if (entry.is_regular_file() && name.ends_with("_test.cc")) add_tests(text_of(entry.path()), tests);
    }
  }
  return tests;
}

/// What is wrong with the rows.
std::vector<std::string> problems_of(const std::vector<Row>& rows, const Names& behaviours,
                                     const Names& tests) {
  std::vector<std::string> problems;
  Names missing = behaviours;
  for (const Row& row : rows) {
    for (const std::string& name : quoted_in(row.behaviour)) missing.erase(name);
    const bool has_reason = row.here.starts_with("none");
    if (row.tests.empty() && !has_reason) problems.push_back("no test and no reason: " + row.behaviour);
    for (const std::string& test : row.tests) {
      if (!tests.contains(test)) problems.push_back("there is no test " + test);
    }
  }
  for (const std::string& name : missing) problems.push_back("no row of " + name);
  return problems;
}

std::string in_lines(const std::vector<std::string>& texts) {
  std::string joined;
  for (const std::string& text : texts) joined += "\n  " + text;
  return joined;
}

const Names kBehaviours = {
    "records.put",      "records.get",       "records.delete",  "records.list",    "records.putMany",
    "records.typed",    "records.conflicts", "records.resolve", "blobs.put",       "blobs.presign",
    "blobs.get",        "blobs.delete",      "blobs.list",      "events.append",   "events.list",
    "store.on",         "record:put",        "record:delete",   "record:conflict", "record:resolve",
    "event:append",     "event:prune",       "blob:put",        "blob:delete",     "blob:upload:progress",
    "sync:start",       "sync:complete",     "sync:error",      "sync:offline",    "sync:online",
    "key:rotation:due", "key:rotated"};

TEST(NamedTests, CoverEachDocumentedBehaviourOrSayWhyNot) {
  const std::string document = text_of(fs::path(HOLDFAST_SOURCE_DIR) / "docs/services/persist.md");
  const std::vector<std::string> problems = problems_of(rows_of(document), kBehaviours, all_tests());
  EXPECT_TRUE(problems.empty()) << in_lines(problems);
}

TEST(NamedTests, CoverEachTestOfPiriOrSayWhyNot) {
  constexpr int kTestsOfPiri = 71;
  Names numbers;
  for (int i = 1; i <= kTestsOfPiri; ++i) numbers.insert(std::to_string(i));
  const std::string document = text_of(fs::path(HOLDFAST_SOURCE_DIR) / "docs/services/piri.md");
  std::vector<Row> rows = rows_of(document);
  std::erase_if(rows, [](const Row& row) { return row.behaviour == "Piri's test"; });
  const std::vector<std::string> problems = problems_of(rows, numbers, all_tests());
  EXPECT_TRUE(problems.empty()) << in_lines(problems);
}

/// The sentences of a section of the contract: "**10.1**".
Names numbered_in(const std::string& section) {
  static const std::regex kNumber("\\*\\*([0-9]+\\.[0-9]+[a-z]?)\\*\\*");
  Names numbers;
  for (std::sregex_iterator at(section.begin(), section.end(), kNumber), end; at != end; ++at) {
    numbers.insert((*at)[1].str());
  }
  return numbers;
}

/// What is wrong with a section whose table names the tests of each of its sentences.
std::vector<std::string> problems_of_section(const std::string& section, const Names& tests) {
  std::vector<std::string> problems;
  Names missing = numbered_in(section);
  for (const Row& row : rows_of(section)) {
    if (row.behaviour == "sentence") continue;
    missing.erase(row.behaviour);
    if (!numbered_in(section).contains(row.behaviour)) problems.push_back("no sentence " + row.behaviour);
    if (row.tests.empty()) problems.push_back("no test: " + row.here);
    for (const std::string& test : row.tests) {
      if (!tests.contains(test)) problems.push_back("there is no test " + test);
    }
  }
  for (const std::string& number : missing) problems.push_back("no test of sentence " + number);
  return problems;
}

TEST(NamedTests, ProveEachSentenceOfTheEngine) {
  const std::string contract = text_of(fs::path(HOLDFAST_SOURCE_DIR) / "docs/contract.md");
  const std::size_t begin = contract.find("\n## 10 The engine\n");
  ASSERT_NE(begin, std::string::npos);
  const std::string section = contract.substr(begin, contract.find("\n## ", begin + 1) - begin);
  ASSERT_FALSE(numbered_in(section).empty());
  const std::vector<std::string> problems = problems_of_section(section, all_tests());
  EXPECT_TRUE(problems.empty()) << in_lines(problems);
}

TEST(NamedTestsRule, FindsASentenceWithoutATest) {
  const std::string section =
      "**10.1** One. **10.2** Two.\n\n| sentence | says | tests |\n|---|---|---|\n"
      "| 10.1 | one | `A.b`, `A.c` |\n| 10.1 | more | |\n| 10.7 | seven | `A.b` |\n";
  EXPECT_EQ(problems_of_section(section, {"A.b"}),
            (std::vector<std::string>{"there is no test A.c", "no test: more", "no sentence 10.7",
                                      "no test of sentence 10.2"}));
}

TEST(NamedTestsRule, FindsTestsOfEveryKind) {
  Names tests;
  add_tests("TEST(A, b) {}\nTEST_P(C,\n       d) {}\n  TEST_F(E, f) {}\nMY_TEST(G, h) {}\n", tests);
  EXPECT_EQ(tests, (Names{"A.b", "C.d", "E.f"}));
}

TEST(NamedTestsRule, FindsWhatIsMissing) {
  const std::vector<Row> rows = rows_of(
      "| behaviour | here | tests |\n|---|---|---|\n| `x.put` puts | yes | `A.b`, `A.c` |\n"
      "| `x.get` gets | none: no | |\n| `x.list` lists | yes | |\n");
  ASSERT_EQ(rows.size(), 3u);
  EXPECT_EQ(problems_of(rows, {"x.put", "x.get", "x.list", "x.on"}, {"A.b"}),
            (std::vector<std::string>{"there is no test A.c", "no test and no reason: `x.list` lists",
                                      "no row of x.on"}));
}

}  // namespace
