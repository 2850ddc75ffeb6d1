// Runs every case of the suite on every kind of store there is, each as a test of its own:
// memory.s1_3_at_most_one_entry_per_key.
#include "holdfast/conformance.h"

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <map>
#include <memory>
#include <regex>
#include <set>
#include <string>

#include "support/targets.h"

namespace holdfast::conformance {
namespace {

class CaseTest final : public testing::Test {
 public:
  CaseTest(std::shared_ptr<Suite> suite, Case one) : suite_(std::move(suite)), case_(std::move(one)) {}
  void TestBody() override {
    const Result result = suite_->run(case_);
    EXPECT_TRUE(result.passed()) << result.reason;
  }

 private:
  std::shared_ptr<Suite> suite_;
  Case case_;
};

Target conformance_target(const testing_support::Target& store) {
  Target target;
  target.name = store.test_name();
  target.shared = store.shared;
  target.cheap_commits = store.cheap;
  target.keeps_data = store.keeps_data();
  target.new_store = [store]() -> OpenStore {
    const auto folder = std::make_shared<testing_support::TemporaryFolder>();
    return
        [store, folder](const Environment& environment) { return store.open(folder->path(), environment); };
  };
  return target;
}

void register_target(const Target& target) {
  const auto suite = std::make_shared<Suite>(target);
  for (const Case& one : cases_for(target)) {
    testing::RegisterTest(target.name.c_str(), one.name.c_str(), nullptr, nullptr, __FILE__, __LINE__,
                          [suite, one]() -> testing::Test* { return new CaseTest(suite, one); });
  }
}

TEST(Sentences, have_at_least_one_case_each) {
  std::map<std::string, std::size_t> count;
  for (const Case& one : cases()) ++count[one.sentence];
  for (const Sentence& sentence : sentences()) {
    EXPECT_GT(count[sentence.number], 0u) << sentence.number << ": " << sentence.summary;
    count.erase(sentence.number);
  }
  for (const auto& [number, cases] : count)
    ADD_FAILURE() << "no sentence " << number << " but " << cases << " cases";
}

TEST(Sentences, of_no_two_cases_have_the_same_name) {
  std::set<std::string> names;
  for (const Case& one : cases()) EXPECT_TRUE(names.insert(one.name).second) << one.name;
}

/// The numbers of docs/contract.md: "**3.4e**".
std::set<std::string> documented() {
  std::ifstream file(HOLDFAST_CONTRACT);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  std::set<std::string> numbers;
  const std::regex number(R"(\*\*([0-9]+\.[0-9]+[a-g]?)\*\*)");
  for (std::sregex_iterator match(text.begin(), text.end(), number), end; match != end; ++match) {
    numbers.insert((*match)[1]);
  }
  return numbers;
}

TEST(Sentences, are_those_of_the_reference_text) {
  // These bind the engine alone, name a value only, or introduce others.
  const std::set<std::string> of_the_engine = {"3.4", "3.9", "9.3", "10.1", "10.2", "10.3", "10.4", "10.5"};
  std::set<std::string> known = of_the_engine;
  for (const Sentence& sentence : sentences()) {
    EXPECT_TRUE(documented().contains(sentence.number)) << sentence.number << " is not in docs/contract.md";
    known.insert(sentence.number);
  }
  for (const std::string& number : documented()) {
    EXPECT_TRUE(known.contains(number)) << number << " of docs/contract.md has no case and no reason why";
  }
}

}  // namespace
}  // namespace holdfast::conformance

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  for (const auto& store : holdfast::testing_support::targets()) {
    holdfast::conformance::register_target(holdfast::conformance::conformance_target(store));
  }
  return RUN_ALL_TESTS();
}
