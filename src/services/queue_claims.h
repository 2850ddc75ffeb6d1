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
#include "services/queue_turns.h"

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
  struct Lost {};

  void serve(std::span<Demand* const> demands);
  /// Claims once; throws Lost if somebody else was faster. Whether to claim again, because jobs that were due
  /// have got their places now.
  bool claim(std::span<Demand* const> demands);
  bool claim_within(Transaction& transaction, std::span<Demand* const> demands);
  /// Nothing if the body of the job is lost.
  std::optional<Payload> body_of(const JobRecord& record) const;
  static Delivery lease(Transaction& transaction, const QueueKeys& keys, JobCandidate& job, Payload body,
                        const LeaseToken& token);
  std::vector<JobCandidate> candidates_of(Page page) const;
  /// Those that are due: whose lease has ended, or who were delayed.
  std::vector<JobCandidate> due_jobs(Transaction& transaction) const;
  /// Adds what is ready, and of `due` what has no tenant, to the turns of their tenants.
  void add_ready_jobs(Transaction& transaction, TenantTurns& turns, std::size_t wanted,
                      std::vector<JobCandidate>& due);
  std::size_t looked_at(std::size_t wanted) const;
  /// Says that this process is there.
  void join();
  /// Counts those who have said so.
  void look_around(Transaction& transaction);
  bool is_own(View id) const;
  std::vector<JobCandidate> jobs_without_tenant(Transaction& transaction, std::size_t limit, bool& is_cut);
  /// Of those that are ready.
  std::vector<Bytes> keys_to_take(const Page& ready);

  Database database_;
  const QueueKeys& keys_;
  const Bytes own_presence_;

  std::mutex mutex_;
  std::deque<Demand*> waiting_;
  bool is_led_ = false;

  // Of the thread that leads.
  bool is_shared_ = false;  ///< with other processes, or it was until a moment ago
  std::size_t claimers_ = 1;
  std::size_t own_share_ = 0;
  JobId front_;                       ///< the first of those that were ready last time
  std::uint32_t times_in_front_ = 0;  ///< since then, being somebody else's
  TenantTurn turn_;
  TenantTurn next_turn_;     ///< once the claim under way has been committed
  std::size_t tenants_ = 1;  ///< that had jobs when the last claim looked
};

}  // namespace holdfast
