#include <exception>
#include <utility>

#include "tests/conformance/harness.h"

namespace holdfast::conformance {

std::vector<Case> cases() {
  Cases all;
  add_term_cases(all);
  add_time_cases(all);
  add_read_cases(all);
  add_order_cases(all);
  add_commit_cases(all);
  add_limit_cases(all);
  add_session_cases(all);
  add_check_cases(all);
  add_write_cases(all);
  add_change_cases(all);
  add_fence_cases(all);
  add_store_cases(all);
  add_wait_cases(all);
  add_concurrency_cases(all);
  add_kept_cases(all);
  add_shared_cases(all);
  return all;
}

std::vector<Case> cases_for(const Target& target, std::string_view filter) {
  std::vector<Case> selected;
  for (Case& one : cases()) {
    if (one.needs == Case::Needs::kept_data && !target.keeps_data) continue;
    if (one.needs == Case::Needs::shared_store && !target.shared) continue;
    if (one.needs == Case::Needs::cheap_commits && !target.cheap_commits) continue;
    if (one.name.find(filter) == std::string::npos) continue;
    selected.push_back(std::move(one));
  }
  return selected;
}

struct Suite::State {
  Target target;
  Environment environment;
  OpenStore open;
  std::unique_ptr<Backend> backend;
  std::size_t runs = 0;
};

Suite::Suite(Target target, Environment environment)
    : state_(new State{std::move(target), environment.completed(), {}, nullptr}) {}

Suite::~Suite() = default;

Result Suite::run(const Case& one) {
  const auto begin = std::chrono::steady_clock::now();
  std::string reason;
  try {
    if (!state_->backend) {
      state_->open = state_->target.new_store();
      state_->backend = state_->open(state_->environment);
    }
    const Bytes prefix = one.name.substr(0, 40) + "." + std::to_string(++state_->runs) + "/";
    Run run(state_->target, state_->environment, *state_->backend, prefix);
    one.body(run);
  } catch (const Failure& failure) {
    reason = failure.reason;
  } catch (const Error& error) {
    reason = std::string("unexpected error ") + name(error.code()) + ": " + error.what();
  } catch (const std::exception& error) {
    reason = std::string("unexpected exception: ") + error.what();
  }
  if (!reason.empty()) state_->backend.reset();
  const auto took = std::chrono::steady_clock::now() - begin;
  return {one.name, std::move(reason), std::chrono::duration_cast<std::chrono::milliseconds>(took)};
}

Report run(const Target& target, std::string_view filter,
           const std::function<void(const Result&)>& progress) {
  Report report;
  Suite suite(target);
  for (const Case& one : cases_for(target, filter)) {
    Result result = suite.run(one);
    if (progress) progress(result);
    if (!result.passed()) ++report.failed;
    report.results.push_back(std::move(result));
  }
  return report;
}

}  // namespace holdfast::conformance
