// Stores behind a network that fails, on real servers: whatever is cut, and wherever, what was acknowledged
// is there, and nothing is there twice. HOLDFAST_SEED=n sets the seed, HOLDFAST_CUTS=n how many connections
// are cut at random.
#include <gtest/gtest.h>

#include <array>
#include <thread>

#include "histories/history.h"
#include "histories/workload.h"
#include "support/settings.h"
#include "support/targets.h"
#include "support/unreliable_proxy.h"

namespace holdfast::faults {
namespace {

using histories::History;
using testing_support::UnreliableProxy;
using Fault = UnreliableProxy::Fault;

constexpr std::array<const char*, UnreliableProxy::kFaults> kFaultNames = {"cut before", "cut after", "halve",
                                                                           "park", "stall"};

struct Service {
  std::string name;
  std::string variable;  ///< of the environment, with the server's URL
  std::string option;    ///< that gives a store a place of its own
};

void PrintTo(const Service& service, std::ostream* out) { *out << service.name; }

/// A store whose opening is cut says so, and can be opened the next time.
std::shared_ptr<Store> open_again_if_cut(const std::string& url) {
  try {
    return Store::open(url);
  } catch (const Error& error) {
    if (error.code() != Code::unavailable) throw;
  }
  return Store::open(url);
}

class Network : public testing::TestWithParam<Service> {
 protected:
  Network() {
    const char* url = std::getenv(GetParam().variable.c_str());
    if (url == nullptr) throw std::runtime_error(GetParam().variable + " is not set");
    url_ = url;
    at_ = url_.find("127.0.0.1:");
    if (at_ == std::string::npos) throw std::runtime_error(GetParam().variable + " is not on 127.0.0.1");
    const std::size_t digits = at_ + std::string("127.0.0.1:").size();
    end_ = std::min(url_.find_first_not_of("0123456789", digits), url_.size());
    static const std::uint64_t kSeed = testing_support::seed_of_this_run();
    seed_ = kSeed;
  }

  std::uint64_t seed() const { return seed_; }
  std::string server() const { return url_.substr(at_, end_ - at_); }
  /// The URL of a store by way of the proxy.
  std::string url(const UnreliableProxy& proxy, const std::string& folder) const {
    std::string url = url_.substr(0, at_) + proxy.address() + url_.substr(end_);
    url += url.find('?') == std::string::npos ? '?' : '&';
    return url + GetParam().option + folder.substr(folder.rfind('/') + 1);
  }

 private:
  std::string url_;
  std::size_t at_ = 0;
  std::size_t end_ = 0;
  std::uint64_t seed_ = 0;
};

std::string sentences_of(const History& history) {
  std::string out;
  for (const std::string& sentence : histories::anomalies(history)) out += "  " + sentence + "\n";
  return out;
}

TEST_P(Network, loses_and_doubles_nothing_in_a_thousand_cuts) {
  const std::uint64_t cuts = testing_support::setting("HOLDFAST_CUTS", 1000);
  UnreliableProxy proxy(server(), seed());
  for (std::uint64_t round = 0; proxy.cuts() < cuts; ++round) {
    const testing_support::TemporaryFolder folder;
    const auto store = Store::open(url(proxy, folder.path()));
    proxy.trouble(20);
    const History history = histories::run(*store, {.seed = seed() + round,
                                                    .threads = 8,
                                                    .operations = 2'000,
                                                    .watches = 2,
                                                    .may_be_unavailable = true});
    proxy.trouble(0);
    ASSERT_EQ(sentences_of(history), "") << "in round " << round << ", HOLDFAST_SEED=" << seed();
    store->close();
  }
}

TEST_P(Network, opens_wherever_a_connection_ends_now_or_the_next_time) {
  const testing_support::TemporaryFolder folder;
  UnreliableProxy proxy(server(), seed());
  const std::uint64_t stride = testing_support::setting("HOLDFAST_STRIDE", 1);
  for (const Fault fault : {Fault::cut_before, Fault::halve}) {
    std::uint64_t step = 1;
    for (int without_fault = 0; without_fault < 3; step += stride) {
      proxy.fail_at(step, fault);
      const auto store = open_again_if_cut(url(proxy, folder.path()));
      store->database("opened").put("key", std::to_string(step));
      EXPECT_EQ(store->database("opened").get("key")->value, std::to_string(step));
      if (!proxy.has_failed()) ++without_fault;
    }
    EXPECT_GT(step, 4u);
  }
}

TEST_P(Network, loses_and_doubles_nothing_wherever_a_connection_ends) {
  const testing_support::TemporaryFolder folder;
  UnreliableProxy proxy(server(), seed());
  const auto store = Store::open(url(proxy, folder.path()));
  const std::uint64_t stride = testing_support::setting("HOLDFAST_STRIDE", 1);
  for (std::size_t fault = 0; fault < UnreliableProxy::kFaults; ++fault) {
    std::uint64_t step = 1;
    for (int without_fault = 0; without_fault < 3; step += stride) {
      const std::string where = std::string(kFaultNames[fault]) + " at step " + std::to_string(step);
      proxy.fail_at(step, static_cast<Fault>(fault));
      try {
        const History history = histories::run(
            *store, {.seed = seed(), .threads = 1, .operations = 8, .watches = 1, .database = where});
        ASSERT_EQ(sentences_of(history), "") << where << ", HOLDFAST_SEED=" << seed();
      } catch (const std::exception& error) {
        FAIL() << error.what() << ": " << where << ", HOLDFAST_SEED=" << seed();
      }
      if (!proxy.has_failed()) ++without_fault;
    }
    EXPECT_GT(step, 10u);
  }
}

INSTANTIATE_TEST_SUITE_P(Servers, Network,
                         testing::Values(Service{"redis", "HOLDFAST_TEST_REDIS", "prefix="},
                                         Service{"postgres", "HOLDFAST_TEST_POSTGRES_TCP", "schema="}),
                         [](const auto& test) { return test.param.name; });

}  // namespace
}  // namespace holdfast::faults
