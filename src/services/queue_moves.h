// How jobs change their state, within a transaction: what every way of doing so has in common.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "holdfast/queue.h"
#include "services/queue_keys.h"
#include "services/queue_record.h"

namespace holdfast {

/// A job where it was found.
struct LocatedJob {
  Entry entry;
  JobState state = JobState::ready;
};

/// Commits that move several jobs end behind this much: a job more fits limits::kBatchBytes.
inline constexpr std::size_t kMoveBytes = std::size_t{4} << 20;

/// How a job can come to its end.
enum class JobEnd : std::uint8_t { completed, dead, removed };

class QueueMoves {
 public:
  QueueMoves(Transaction& transaction, const QueueKeys& keys) : transaction_(transaction), keys_(keys) {}

  /// What a commit at `now_ms` writes that sends a job which has no job of its ordering key before it.
  static std::vector<Write> writes_to_send(const QueueKeys& keys, const JobRecord& record,
                                           std::uint32_t place, UnixMs now_ms);
  /// Puts a new job; its id is the stamp of the commit and `place`.
  void send(const JobRecord& record, std::uint32_t place);
  /// What a caller's transaction has noted about the jobs that it has sent; empty if there are none.
  Bytes sent_before();
  /// The place behind those.
  static std::uint32_t place_behind(const Bytes& sent_before);
  /// The same with one more, at a place behind those.
  static Bytes with_sent(const Bytes& sent_before, std::uint32_t place, View ordering_key);
  void note_sent(const Bytes& sent) { transaction_.put(keys_.place(), sent); }
  /// Before a caller's transaction settles a job: throws invalid_argument if it has sent one of the same
  /// ordering key, which settle() would not see and not give its turn.
  void refuse_if_sent_behind(const JobRecord& record);
  /// Puts a job that has an id where it belongs: ready, or delayed until `due_at_ms`. Nothing of it is
  /// anywhere else, but for a job of a chain its lock.
  void put(View id, const JobRecord& record, UnixMs due_at_ms);
  /// Takes the job away from where it was.
  void take(const Entry& entry);
  /// For a job that was taken away for good: the next one of its ordering key has its turn, its unique key is
  /// free, at once or some time after this end, and who waits for it learns of it. How many bytes it has put
  /// for those, or what stands for as much work.
  std::size_t settle(View id, const JobRecord& record, JobEnd end);
  /// settle() of a job that had no turn of its ordering key: it was in its chain, or blocked.
  std::size_t settle_without_turn(View id, const JobRecord& record, JobEnd end);
  /// The part of settle() about the unique key.
  void free_unique_key(View id, const JobRecord& record, JobEnd end);
  /// The part of settle() about who waits for the job.
  std::size_t tell_parent(View id, const JobRecord& record, JobEnd end);
  /// put(), where another job of its ordering key may be before it.
  void put_in_turn(View id, const JobRecord& record, UnixMs due_at_ms);
  /// Whether it waits for others that are not done.
  bool has_open_children(View id, const JobRecord& record);
  /// Puts a job that was taken away into the dead letters, and settles. What settle() says.
  std::size_t bury(View id, JobRecord record, View reason);

  /// Puts an entry that cannot be read among the dead letters as it is, so that it stands in nobody's way.
  /// What its job had, a turn or a unique key, stays taken: nobody can read which. What settle() says.
  std::size_t set_aside(const Entry& entry);

  /// The job of a lease and its entry. Throws LeaseLost.
  Entry leased(const JobLease& lease, const LeaseToken& token);
  /// A job that is not completed or dead.
  std::optional<LocatedJob> locate(View id);
  QueueSettings settings();

 private:
  /// Gives the next job of an ordering key its turn. What settle() says.
  std::size_t promote_next(View ordering_key);
  std::size_t bury_parent(View id, const Entry& entry, JobRecord record, const Bytes& why);

  Transaction& transaction_;
  const QueueKeys& keys_;
};

LeaseLost lease_lost();

}  // namespace holdfast
