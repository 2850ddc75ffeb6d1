// How the threads of a process get jobs: one of them claims for all that wait, in one commit.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <vector>

#include "holdfast/queue.h"
#include "services/queue_keys.h"
#include "services/queue_record.h"

namespace holdfast {

/// Thread-safe.
class QueueClaims {
 public:
  QueueClaims(Database database, const QueueKeys& keys, std::shared_ptr<Random> random);

  std::vector<Delivery> receive(std::size_t limit, std::optional<std::chrono::milliseconds> lease);

 private:
  /// A thread that wants jobs, until it is served.
  struct Demand {
    std::size_t limit = 0;
    std::optional<std::chrono::milliseconds> lease;
    std::vector<Delivery> jobs;
    std::exception_ptr error;
    bool is_served = false;
    std::condition_variable changed;
  };
  /// A job that could be claimed.
  struct Candidate {
    Entry entry;
    JobId id;
    JobRecord record;
    bool is_ready = false;
    /// Another claimer is more likely to take it.
    bool is_others = false;
  };
  struct Lost {};

  void serve(std::span<Demand* const> demands);
  /// Claims once; throws Lost if somebody else was faster.
  void claim(std::span<Demand* const> demands);
  void claim_within(Transaction& transaction, std::span<Demand* const> demands);
  std::vector<Candidate> candidates(Transaction& transaction, std::size_t wanted);
  bool is_own(View id) const;
  void learn(bool was_lost);

  Database database_;
  const QueueKeys& keys_;
  const std::shared_ptr<Random> random_;

  std::mutex mutex_;
  std::deque<Demand*> waiting_;
  bool is_led_ = false;

  // Of the thread that leads.
  std::uint64_t classes_ = 1;
  std::uint64_t own_class_ = 0;
  std::uint32_t wins_ = 0;
};

}  // namespace holdfast
