// The conformance suite: proves that a Backend keeps the storage contract, sentence by sentence. Link
// holdfast_conformance and give it a way to make empty stores:
//
//     namespace conformance = holdfast::conformance;
//     conformance::Target target{"mine", [] { return my_open_function; }};
//     const conformance::Report report = conformance::run(target);
//     for (const auto& result : report.results) if (!result.passed()) puts(result.reason.c_str());
//
// A case is named for its sentence of docs/contract.md and for the behaviour that it demands:
// s3_4e_checks_are_judged_on_the_state_before_the_group. Cases use no clock but the one of the environment,
// and databases with names of their own, so that most of them can share one store.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "holdfast/backend.h"
#include "holdfast/environment.h"

namespace holdfast::conformance {

/// Opens one particular store.
using OpenStore = std::function<std::unique_ptr<Backend>(const Environment&)>;

/// A kind of backend, as the suite meets it.
struct Target {
  std::string name;
  /// Makes a new, empty store and returns the way to open it. What the store occupies may be freed when the
  /// returned function is destroyed.
  std::function<OpenStore()> new_store;
  /// Whether a store that is closed and opened again holds what it held.
  bool keeps_data = false;
  /// Whether a store may be opened a second time while it is open (traits().shared_by_processes).
  bool shared = false;
  /// Whether commits cost no sync, so that tens of thousands of them can be afforded.
  bool cheap_commits = false;
};

/// A sentence of the contract that a backend can break.
struct Sentence {
  std::string number;  ///< "3.4e"
  std::string summary;
};
/// All of §1 to §9 and §11, in order.
std::vector<Sentence> sentences();

class Run;

struct Case {
  enum class Needs : std::uint8_t { nothing, kept_data, shared_store, cheap_commits };
  std::string name;      ///< "s3_4e_checks_are_judged_on_the_state_before_the_group"
  std::string sentence;  ///< "3.4e"
  Needs needs = Needs::nothing;
  std::function<void(Run&)> body;
};
/// Every case, in the order of the sentences.
std::vector<Case> cases();
/// The cases that can be run on `target` and whose name contains `filter`.
std::vector<Case> cases_for(const Target& target, std::string_view filter = {});

struct Result {
  std::string name;
  /// Empty if the case passed; otherwise what was expected and what was found instead, with the place in the
  /// suite's source.
  std::string reason;
  std::chrono::milliseconds took{0};
  bool passed() const { return reason.empty(); }
};

struct Report {
  std::vector<Result> results;
  std::size_t failed = 0;
  bool ok() const { return failed == 0 && !results.empty(); }
};

/// Runs cases on one target. Not thread-safe.
class Suite {
 public:
  /// `environment` must have a clock that moves by itself: cases wait.
  explicit Suite(Target target, Environment environment = {});
  ~Suite();
  Suite(const Suite&) = delete;
  Suite& operator=(const Suite&) = delete;

  /// Never throws. After a failure the next case gets a new store.
  Result run(const Case& one);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Runs every case that applies and whose name contains `filter`; `progress` hears of each when it is done.
Report run(const Target& target, std::string_view filter = {},
           const std::function<void(const Result&)>& progress = {});

}  // namespace holdfast::conformance
