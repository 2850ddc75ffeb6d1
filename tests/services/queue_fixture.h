// What the suites of job queues share.
#pragma once

#include <functional>
#include <map>
#include <set>
#include <vector>

#include "holdfast/queue.h"
#include "services/queue_keys.h"
#include "services/queue_record.h"
#include "tests/services/service_test.h"

namespace holdfast {

class QueueTest : public ServiceTest {
 protected:
  using Texts = std::vector<Bytes>;

  Queue queue(View name = "q") {
    return Queue(database(), name, {.random = seeded_random(7), .clock = clock_pointer()});
  }
  /// Receives up to `limit` jobs; their bodies.
  Texts texts(std::size_t limit = 100) {
    Texts texts;
    for (const Delivery& job : queue().receive(limit)) texts.push_back(job.body.text());
    return texts;
  }
  /// Receives and completes one job after the other; their bodies.
  Texts work_off(View name = "q") {
    Texts texts;
    Queue jobs = queue(name);
    for (;;) {
      const std::vector<Delivery> got = jobs.receive(1);
      if (got.empty()) return texts;
      texts.push_back(got[0].body.text());
      jobs.complete(got[0]);
    }
  }
  Delivery receive_one() {
    std::vector<Delivery> got = queue().receive(1);
    EXPECT_EQ(got.size(), 1u);
    return got.empty() ? Delivery() : got[0];
  }
  void settings(const std::function<void(QueueSettings&)>& change) {
    QueueSettings settings = queue().settings();
    change(settings);
    queue().set_settings(settings);
  }
  /// What a queue that nothing is left of has stored.
  std::uint64_t entries_of_queue() {
    std::uint64_t entries = 0;
    for (const Entry& entry : database().scan(Range::prefix("queue/")).entries) {
      if (!entry.key.ends_with("/settings") && !entry.key.ends_with("/place") &&
          !entry.key.ends_with("/turn") && entry.key.find("/claimer/") == Bytes::npos)
        ++entries;
    }
    return entries;
  }
  /// Fails unless what docs/services/queue.md promises of the entries of a queue holds.
  void check_layout() {
    const QueueKeys keys("queue", "q");
    std::set<JobId> jobs;
    std::set<JobId> placed;
    std::set<Bytes> owners;
    std::set<Bytes> waiting;
    std::set<Bytes> live_unique_keys;
    std::map<JobId, JobId> open_children;
    std::set<JobId> blocked;
    const auto each = [&](const Bytes& prefix, const std::function<void(const Entry&)>& look) {
      Range range = Range::prefix(prefix);
      for (bool is_more = true; is_more;) {
        const Page page = database().scan(range, {.limit = 10'000});
        for (const Entry& entry : page.entries) look(entry);
        is_more = page.more;
        if (is_more) range.begin = page.entries.back().key + '\0';
      }
    };
    const auto add_job = [&](const Entry& entry) {
      EXPECT_TRUE(jobs.insert(job_id_of(entry.key)).second) << "a job in two places";
      const JobRecord record = JobRecord::parse(entry.value);
      const bool waits = entry.key.starts_with(keys.chains());
      const bool is_dead = entry.key.starts_with(keys.dead());
      const bool is_blocked = entry.key.starts_with(keys.blocked());
      if (is_blocked) blocked.insert(job_id_of(entry.key));
      if (!record.parent.empty()) {
        open_children[job_id_of(entry.key)] = sibling_id(job_id_of(entry.key), record.parent);
      }
      const bool has_turn = entry.key.starts_with(keys.tenants());
      if (waits || has_turn || entry.key.starts_with(keys.delayed())) placed.insert(job_id_of(entry.key));
      if (!is_dead && record.is_unique_while_live) live_unique_keys.insert(record.unique_key);
      if (is_dead || is_blocked || record.ordering_key.empty()) return;
      if (waits) {
        waiting.insert(record.ordering_key);
      } else {
        EXPECT_TRUE(owners.insert(record.ordering_key).second) << "two jobs of an ordering key at once";
      }
    };
    for (const Bytes& prefix :
         {keys.ready(), keys.delayed(), keys.leased(), keys.chains(), keys.blocked(), keys.dead()}) {
      each(prefix, add_job);
    }
    std::set<JobId> waiting_for_something;
    each(keys.children(), [&](const Entry& entry) {
      const View link = View(entry.key).substr(keys.children().size());
      const JobId parent(link.substr(0, kJobIdBytes));
      const auto child = open_children.find(sibling_id(parent, link.substr(kJobIdBytes + 1)));
      ASSERT_NE(child, open_children.end()) << "a job waits for one that is done or gone";
      EXPECT_EQ(child->second, parent);
      EXPECT_TRUE(blocked.contains(parent) || !jobs.contains(parent) || database().get(keys.dead() + parent))
          << "a job that waits for another one is not blocked";
      waiting_for_something.insert(parent);
    });
    for (const JobId& id : blocked) EXPECT_TRUE(waiting_for_something.contains(id)) << "it waits for nothing";
    each(keys.at(), [&](const Entry& entry) {
      const JobId id = job_id_of(entry.key);
      EXPECT_EQ(placed.erase(id), 1u);
      EXPECT_TRUE(database().get(keys.base() + entry.value + id));
    });
    EXPECT_TRUE(placed.empty());
    for (const Bytes& key : waiting) EXPECT_TRUE(owners.contains(key)) << "a chain without a head";
    each(keys.base() + "lock/", [&](const Entry& entry) {
      EXPECT_EQ(owners.erase(entry.key.substr(keys.lock("").size())), 1u) << "a lock without a job";
    });
    EXPECT_TRUE(owners.empty()) << "a job without its lock";
    each(keys.base() + "unique/", [&](const Entry& entry) {
      EXPECT_EQ(live_unique_keys.erase(entry.key.substr(keys.unique("").size())), 1u);
    });
    EXPECT_TRUE(live_unique_keys.empty());
  }
  static Payload large(char letter) { return Payload(Bytes(300'000, letter)); }
  static bool is_lost(const std::function<void()>& call) {
    try {
      call();
    } catch (const LeaseLost& error) {
      EXPECT_EQ(error.code(), Code::conflict);
      EXPECT_EQ(error.retry(), Retry::never);
      return true;
    }
    return false;
  }
};

}  // namespace holdfast
