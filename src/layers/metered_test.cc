#include "layers/metered.h"

#include <gtest/gtest.h>

#include "contract/forwarding.h"
#include "holdfast/open.h"
#include "layers/test_client.h"

namespace holdfast {
namespace {

class MeteredLayer : public testing::Test {
 protected:
  const std::shared_ptr<ManualClock> clock = std::make_shared<ManualClock>();
  const Environment environment = Environment{clock, seeded_random(1), nullptr}.completed();
  const std::shared_ptr<Metrics> metrics = std::make_shared<Metrics>();
  const std::unique_ptr<Backend> backend =
      metered(open_backend("memory:", environment), environment, metrics);
  TestClient client{*backend, environment, "agents"};
};

TEST_F(MeteredLayer, CountsCallsByOperation) {
  client.read();
  client.put("k", "v");  // reads the history first
  backend->databases("", "", 10, client.soon());
  const auto calls = metrics->calls();
  EXPECT_EQ(calls.at("read").calls, 2u);
  EXPECT_EQ(calls.at("commit").calls, 1u);
  EXPECT_EQ(calls.at("databases").calls, 1u);
  EXPECT_EQ(calls.at("drop").calls, 0u);
}

TEST_F(MeteredLayer, CountsErrorsAndPassesThemOn) {
  ReadRequest request;
  request.history = 99;
  EXPECT_THROW(backend->read("agents", request), Error);
  EXPECT_EQ(metrics->calls().at("read").errors, 1u);
  EXPECT_EQ(metrics->calls().at("read").calls, 1u);
}

TEST_F(MeteredLayer, CountsGroupsBatchesAndConflicts) {
  client.put("k", "v");
  Group group = client.group({{{Check::absent("k")}, {Write::put("k", "w")}}, {{}, {Write::put("l", "w")}}});
  backend->commit({&group, 1});
  Group stale = client.group({{{}, {Write::put("k", "w")}}});
  stale.history = 99;
  backend->commit({&stale, 1});
  const auto counts = metrics->counts();
  EXPECT_EQ(counts.at("groups"), 3u);
  EXPECT_EQ(counts.at("groups_failed"), 1u);
  EXPECT_EQ(counts.at("batches"), 4u);
  EXPECT_EQ(counts.at("batches_committed"), 2u);
  EXPECT_EQ(counts.at("batches_conflicted"), 1u);
  EXPECT_EQ(metrics->calls().at("commit").errors, 1u);
}

TEST_F(MeteredLayer, CountsBytesOfKeysAndValues) {
  client.put("key", "value");
  client.read({"key"}, {{Range::all(), {}}});
  const auto counts = metrics->counts();
  EXPECT_EQ(counts.at("bytes_written"), 8u);
  EXPECT_EQ(counts.at("entries_read"), 2u);
  EXPECT_EQ(counts.at("bytes_read"), 16u);
}

/// Takes as long as it is told to.
class SlowBackend final : public ForwardingBackend {
 public:
  SlowBackend(std::unique_ptr<Backend> inner, std::shared_ptr<ManualClock> clock)
      : ForwardingBackend(std::move(inner)), clock_(std::move(clock)) {}
  ReadAnswer read(View database, const ReadRequest& request) override {
    clock_->advance(std::chrono::milliseconds(3));
    return inner().read(database, request);
  }

 private:
  const std::shared_ptr<ManualClock> clock_;
};

TEST_F(MeteredLayer, MeasuresDurationsByTheInjectedClock) {
  const auto slow = metered(std::make_unique<SlowBackend>(open_backend("memory:", environment), clock),
                            environment, metrics);
  slow->read("agents", {});
  slow->read("agents", {});
  const CallMetrics read = metrics->calls().at("read");
  EXPECT_EQ(read.total_ns, 6'000'000u);
  EXPECT_EQ(read.histogram_us.at(12), 2u);  // 2,048 us <= 3,000 us < 4,096 us
}

TEST(MeteredHistogram, HasBucketsOfPowersOfTwoOfMicroseconds) {
  EXPECT_EQ(histogram_bucket(0), 0u);
  EXPECT_EQ(histogram_bucket(999), 0u);
  EXPECT_EQ(histogram_bucket(1'000), 1u);
  EXPECT_EQ(histogram_bucket(1'999), 1u);
  EXPECT_EQ(histogram_bucket(2'000), 2u);
  EXPECT_EQ(histogram_bucket(1'024'000), 11u);
  EXPECT_EQ(histogram_bucket(UINT64_MAX), kHistogramBuckets - 1);
}

TEST_F(MeteredLayer, GivesPrometheusText) {
  client.put("k", "v");
  const std::string text = metrics->prometheus();
  for (const char* line :
       {"# TYPE holdfast_call_seconds histogram\n",
        "holdfast_call_seconds_bucket{operation=\"commit\",le=\"1e-06\"} 1\n",
        "holdfast_call_seconds_bucket{operation=\"commit\",le=\"+Inf\"} 1\n",
        "holdfast_call_seconds_count{operation=\"commit\"} 1\n",
        "holdfast_call_errors_total{operation=\"commit\"} 0\n", "holdfast_batches_committed_total 1\n"}) {
    EXPECT_NE(text.find(line), std::string::npos) << line;
  }
}

TEST_F(MeteredLayer, CountsOnlyRisesFromBucketToBucketInPrometheusText) {
  const auto slow = metered(std::make_unique<SlowBackend>(open_backend("memory:", environment), clock),
                            environment, metrics);
  slow->read("agents", {});
  const std::string text = metrics->prometheus();
  EXPECT_NE(text.find("{operation=\"read\",le=\"0.002048\"} 0\n"), std::string::npos);
  EXPECT_NE(text.find("{operation=\"read\",le=\"0.004096\"} 1\n"), std::string::npos);
  EXPECT_NE(text.find("{operation=\"read\",le=\"0.008192\"} 1\n"), std::string::npos);
}

}  // namespace
}  // namespace holdfast
