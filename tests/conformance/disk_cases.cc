#include "tests/conformance/disk_cases.h"

#include <array>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <map>
#include <string>

#include "backends/file/file_backend.h"
#include "support/targets.h"
#include "tests/conformance/harness.h"
#include "tests/faults/crash_suite.h"

namespace holdfast::conformance {
namespace {

using faults::CrashCase;
using faults::Fault;
using faults::Scenario;

std::unique_ptr<Backend> open_file(const std::string& folder, const Environment& environment, bool durable) {
  const BackendFactory factory = file_factory();
  Url url;
  url.scheme = factory.scheme;
  url.path = folder;
  url.options = {{"durable", durable ? "true" : "false"},
                 {"segment_size_bytes", "65536"},
                 {"checkpoint_size_bytes", "131072"}};
  return factory.open(url, Options("file:", factory.options, url.options), environment);
}

void sweep(Scenario scenario, Fault fault, bool durable, std::uint64_t seeds) {
  faults::CrashTarget target;
  target.folder = "/store";
  target.open = [&target](const Environment& environment, bool is_durable) {
    return open_file(target.folder, environment, is_durable);
  };
  for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
    CrashCase which;
    which.scenario = scenario;
    which.fault = fault;
    which.durable = durable;
    which.seed = seed;
    faults::sweep(target, which);
  }
}

/// Turns one byte over in the middle of the only place in `folder` that holds `needle`.
void damage(const std::filesystem::path& folder, const std::string& needle) {
  for (const auto& file : std::filesystem::recursive_directory_iterator(folder)) {
    if (!file.is_regular_file()) continue;
    std::fstream stream(file.path(), std::ios::binary | std::ios::in | std::ios::out);
    const std::string content{std::istreambuf_iterator<char>(stream), {}};
    const std::size_t at = content.find(needle);
    if (at == std::string::npos) continue;
    stream.clear();
    stream.seekp(static_cast<std::streamoff>(at + needle.size() / 2));
    stream.put('!');
    return;
  }
  fail("the value is in none of the store's files");
}

void damaged_value() {
  const testing_support::TemporaryFolder folder;
  const auto backend = open_file(folder.path(), Environment{}.completed(), true);
  Client client(*backend, "db");
  const Bytes value(8'000, 'v');
  client.put("key", value);
  damage(folder.path(), value);
  expect_error(Code::corruption, "a read of a value that was damaged on disk", [&] { client.get("key"); });
}

std::vector<std::pair<std::string, std::function<void()>>> disk_cases() {
  return {
      {"s3_5_what_a_reader_saw_is_there_after_a_power_loss",
       [] { sweep(Scenario::commits, Fault::power_loss, true, 8); }},
      {"s3_5_a_commit_whose_write_failed_is_not_acknowledged",
       [] { sweep(Scenario::commits, Fault::failure, true, 8); }},
      {"s3_5_a_torn_tail_is_not_taken_for_a_commit",
       [] { sweep(Scenario::groups, Fault::power_loss, true, 8); }},
      {"s3_5_a_damaged_value_is_not_given_out", damaged_value},
      {"s6_4_a_crash_in_compact_hides_no_erase",
       [] { sweep(Scenario::administer, Fault::power_loss, true, 2); }},
      {"s1_5_the_history_changes_when_acknowledged_commits_may_be_lost",
       [] { sweep(Scenario::commits, Fault::power_loss, false, 4); }},
  };
}

}  // namespace

std::vector<Result> run_on_disk(const std::regex& wanted) {
  std::vector<Result> results;
  for (const auto& [name, body] : disk_cases()) {
    if (!std::regex_search(name, wanted)) continue;
    Result result{name, {}};
    try {
      body();
    } catch (const Failure& failure) {
      result.reason = failure.reason;
    } catch (const std::exception& error) {
      result.reason = error.what();
      result.reason = result.reason.substr(0, result.reason.find('\n'));
    }
    results.push_back(std::move(result));
  }
  return results;
}

}  // namespace holdfast::conformance
