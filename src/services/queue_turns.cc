#include "services/queue_turns.h"

#include <algorithm>
#include <string>
#include <utility>

#include "services/keys.h"

namespace holdfast {

TenantTurns::TenantTurns(TenantTurn turn, const QueueSettings& settings) : turn_(std::move(turn)) {
  for (const auto& [tenant, weight] : settings.weights) {
    weights_.emplace(tenant.empty() ? Bytes() : short_segment(tenant), weight);
    largest_weight_ = std::max<std::uint64_t>(largest_weight_, weight);
  }
}

void TenantTurns::add(View tenant, std::deque<JobCandidate> jobs, bool is_cut) {
  if (is_cut) cut_.emplace(tenant);
  if (!jobs.empty()) jobs_.insert_or_assign(Bytes(tenant), std::move(jobs));
}

std::optional<JobCandidate> TenantTurns::next() {
  if (jobs_.empty() || is_ended_) return std::nullopt;
  auto tenant = jobs_.lower_bound(turn_.tenant);
  const bool has_more = tenant != jobs_.end() && tenant->first == turn_.tenant;
  const bool goes_on = has_more && turn_.taken < weight_of(turn_.tenant);
  if (!goes_on) {
    if (boundary_ && *boundary_ == turn_.tenant) return std::nullopt;
    if (has_more) ++tenant;
    if (tenant == jobs_.end()) tenant = jobs_.begin();
    turn_ = {tenant->first, 0};
  }
  ++turn_.taken;
  JobCandidate job = std::move(tenant->second.front());
  tenant->second.pop_front();
  if (tenant->second.empty()) {
    is_ended_ = cut_.contains(tenant->first);
    jobs_.erase(tenant);
  }
  return job;
}

std::vector<JobCandidate> TenantTurns::rest() {
  std::vector<JobCandidate> rest;
  for (auto& [tenant, jobs] : jobs_) std::ranges::move(jobs, std::back_inserter(rest));
  jobs_.clear();
  return rest;
}

std::uint64_t TenantTurns::weight_of(const Bytes& tenant) const {
  const auto found = weights_.find(tenant);
  return found == weights_.end() ? 1 : found->second;
}

DeliveryCredit::DeliveryCredit(const QueueSettings& settings, const std::optional<Entry>& turn, UnixMs now_ms)
    : cost_(settings.rate_interval.count()), at_ms_(now_ms) {
  const std::int64_t most = cost_ * (settings.rate_burst == 0 ? settings.rate : settings.rate_burst);
  credit_ = most;
  if (!turn) return;
  EnvelopeReader reader(turn->value);
  const std::int64_t credit = reader.literal("{\"credit\":").number();
  // Another process may have a clock that is ahead: until this one gets there nothing is earned.
  const UnixMs since_ms = reader.literal(",\"at_ms\":").number();
  at_ms_ = std::max(now_ms, since_ms);
  const std::int64_t to_be_full = std::max<std::int64_t>(most - credit, 0);
  const std::int64_t elapsed_ms = at_ms_ - since_ms;
  const std::int64_t rate = settings.rate;
  credit_ = elapsed_ms > to_be_full / std::max<std::int64_t>(rate, 1)
                ? most
                : std::min(most, credit + elapsed_ms * rate);
}

std::size_t DeliveryCredit::deliveries() const {
  return static_cast<std::size_t>(std::max<std::int64_t>(credit_, 0) / cost_);
}

UnixMs DeliveryCredit::next_delivery_ms(const QueueSettings& settings) const {
  if (credit_ >= cost_) return 0;
  const std::int64_t rate = std::max<std::int64_t>(settings.rate, 1);
  return at_ms_ + (cost_ - credit_ + rate - 1) / rate;
}

Bytes DeliveryCredit::text_after(std::size_t deliveries) const {
  // Where there is no rate nothing is owed to one that is set later.
  const std::int64_t left =
      std::max<std::int64_t>(credit_ - cost_ * static_cast<std::int64_t>(deliveries), 0);
  return "{\"credit\":" + std::to_string(left) + ",\"at_ms\":" + std::to_string(at_ms_) + "}";
}

}  // namespace holdfast
