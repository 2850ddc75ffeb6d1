// Whose job is next, and how many more may be delivered.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <vector>

#include "holdfast/queue.h"
#include "services/queue_keys.h"
#include "services/queue_record.h"

namespace holdfast {

/// A job that could be claimed.
struct JobCandidate {
  Entry entry;
  JobId id;
  JobRecord record;
  /// Another claimer is more likely to take it.
  bool is_others = false;
};

/// How far a claimer has come in letting tenants have their turns (deficit round robin): each has as many
/// jobs as its weight, if it has them, and then the next one. Tenants are named by their segments in keys,
/// and in their order; those without a tenant are the empty one.
struct TenantTurn {
  Bytes tenant;
  std::uint64_t taken = 0;  ///< jobs of this turn
};

/// The jobs of each tenant, in the order in which they are to be delivered.
class TenantTurns {
 public:
  TenantTurns(TenantTurn turn, const QueueSettings& settings);

  /// `is_cut`: the tenant may have more. When these are given nothing comes any more, so that no other tenant
  /// gets the turns of this one.
  void add(View tenant, std::deque<JobCandidate> jobs, bool is_cut);
  /// The tenants between `tenant`, in the order of the turns, and the one whose turn it was are not known:
  /// the next claim begins there.
  void end_after(View tenant) { boundary_ = tenant; }
  /// The next one; nothing when no tenant has any.
  std::optional<JobCandidate> next();
  /// Where to go on after what next() has given.
  const TenantTurn& turn() const { return turn_; }
  /// What next() has not given, of all tenants.
  std::vector<JobCandidate> rest();
  std::uint64_t weight_of(const Bytes& tenant) const;
  std::uint64_t largest_weight() const { return largest_weight_; }
  /// Whether there may be more than next() gives.
  bool is_cut() const { return is_ended_ || boundary_.has_value(); }

 private:
  TenantTurn turn_;
  std::map<Bytes, std::uint32_t> weights_;
  std::map<Bytes, std::deque<JobCandidate>> jobs_;
  std::set<Bytes> cut_;
  bool is_ended_ = false;
  std::optional<Bytes> boundary_;
  std::uint64_t largest_weight_ = 1;
};

/// A token bucket: `rate` deliveries in an interval, with a burst. Counted in deliveries times milliseconds
/// of the interval, so that nothing is rounded.
class DeliveryCredit {
 public:
  /// As the entry of the turn has it; none: full.
  DeliveryCredit(const QueueSettings& settings, const std::optional<Entry>& turn, UnixMs now_ms);

  std::size_t deliveries() const;
  /// When one can be made; not later than now if that is so.
  UnixMs next_delivery_ms(const QueueSettings& settings) const;
  /// What the entry is when so many were made.
  Bytes text_after(std::size_t deliveries) const;

 private:
  std::int64_t cost_ = 1;
  std::int64_t credit_ = 0;
  UnixMs at_ms_ = 0;
};

}  // namespace holdfast
