// §3.1: what just fits must work.
#include "tests/conformance/harness.h"

namespace holdfast::conformance {

void add_limit_cases(Cases& cases) {
  add_case(cases, "s3_1_a_batch_may_have_2000_checks_and_2000_writes", [](Run& run) {
    Client client = run.client();
    Batch first;
    Batch second;
    for (std::size_t i = 0; i < limits::kBatchWrites; ++i) {
      first.checks.push_back(Check::absent(numbered("k", i)));
      first.writes.push_back(Write::put(numbered("k", i), "v"));
      second.checks.push_back(Check::has_version(numbered("k", i), 1));
      second.writes.push_back(Write::erase(numbered("k", i)));
    }
    expect_equal(client.commit(first), {1, {}}, "outcome of 2,000 absent and put");
    Batch failing = second;
    failing.checks.back().version = 9;
    expect_equal(client.commit(failing), {0, 1'999}, "outcome when the last check fails");
    expect_equal(client.commit(second), {2, {}}, "outcome of 2,000 version and erase");
    expect_equal(client.keys(), {}, "keys left");
    expect_equal(std::uint64_t{client.changes({client.at.history, 1}, 10).items.size()}, 2'000,
                 "changes of one commit, in one page");
  });
  add_case(cases, "s3_1_a_group_may_have_1024_batches", [](Run& run) {
    Client client = run.client();
    client.put("fails", "x");
    std::vector<Batch> batches;
    for (std::size_t i = 0; i < limits::kGroupBatches; ++i) {
      batches.push_back({{Check::absent(numbered(i % 4 == 3 ? "x" : "k", i))},
                         {Write::put(numbered("k", i), "v"), Write::put_stamped("log/", "", "entry")}});
      if (i % 4 == 3) batches.back().checks.push_back(Check::absent("fails"));
    }
    const Group group = client.send(batches);
    Seq seq = 1;
    for (std::size_t i = 0; i < group.outcomes.size(); ++i) {
      const Outcome expected = i % 4 == 3 ? Outcome{0, 1} : Outcome{++seq, std::nullopt};
      expect_equal(group.outcomes[i], expected, "outcome of batch " + std::to_string(i));
    }
    expect_equal(client.position().seq, 769, "seq after the group");
    expect_equal(std::uint64_t{client.keys(Range::prefix("log/")).size()}, 768, "stamped entries");
  });
  add_case(cases, "s3_1_a_batch_may_have_8_mebibytes", [](Run& run) {
    Client client = run.client();
    Batch batch;
    for (std::size_t i = 0; i < 8; ++i) {
      batch.writes.push_back(
          Write::put(numbered("k", i), Bytes(limits::kValueBytes - 7, static_cast<char>(i))));
    }
    expect_equal(client.commit(batch), {1, {}}, "outcome of a batch of exactly 8 MiB");
    for (std::size_t i = 0; i < 8; ++i) {
      expect(client.value(numbered("k", i)) == batch.writes[i].value, "every value is there");
    }
    const Page page = client.scan();
    expect(page.entries.size() == 8 && !page.more, "a page may have exactly 8 MiB");
  });
  add_case(cases, "s3_1_a_group_may_have_8_mebibytes", [](Run& run) {
    Client client = run.client();
    std::vector<Batch> batches(1'024);
    for (std::size_t i = 0; i < batches.size(); ++i) {
      batches[i].writes.push_back(Write::put(numbered("k", i), Bytes(8'192 - 7, 'v')));
    }
    const Group group = client.send(batches);
    expect_equal(group.at.seq, 1'024, "seq after the group");
    ScanOptions all;
    all.limit = limits::kScanEntries;
    expect_equal(std::uint64_t{client.keys({}, all).size()}, 1'024, "entries");
  });
  add_case(cases, "s3_1_a_batch_may_have_2000_keys_of_2048_bytes", [](Run& run) {
    Client client = run.client();
    Batch batch;
    const Bytes stem(limits::kKeyBytes - 7, 'k');
    for (std::size_t i = 0; i < limits::kBatchWrites; ++i) {
      batch.writes.push_back(Write::put(stem + numbered("-", i), "v"));
    }
    expect_equal(client.commit(batch), {1, {}}, "outcome");
    ScanOptions all;
    all.limit = limits::kScanEntries;
    const std::vector<Bytes> keys = client.keys({}, all);
    expect_equal(std::uint64_t{keys.size()}, 2'000, "keys");
    for (std::size_t i = 0; i < keys.size(); ++i) {
      expect(keys[i] == batch.writes[i].key, "the long keys come back in order");
    }
    const Changes changes = client.changes({client.at.history, 0}, 1, {}, true);
    expect_equal(std::uint64_t{changes.items.size()}, 2'000, "changes");
  });
}

}  // namespace holdfast::conformance
