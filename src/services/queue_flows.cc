#include "services/queue_flows.h"

#include <algorithm>
#include <map>
#include <string>

#include "holdfast/error.h"

namespace holdfast {

QueueFlows::QueueFlows(std::span<const NewJob> jobs) : jobs_(jobs) {
  if (std::ranges::none_of(jobs, [](const NewJob& job) { return job.parent.has_value(); })) return;
  children_.resize(jobs.size());
  // A parent comes behind its children, whose depths are known by then.
  std::vector<std::size_t> depths(jobs.size(), 1);
  for (std::size_t index = 0; index < jobs.size(); ++index) {
    if (!jobs[index].parent) continue;
    const std::size_t parent = *jobs[index].parent;
    if (parent <= index || parent >= jobs.size()) {
      throw Error(Code::invalid_argument, "sending jobs: the parent of job " + std::to_string(index) +
                                              " is none that comes behind it: " + std::to_string(parent));
    }
    depths[parent] = std::max(depths[parent], depths[index] + 1);
    if (depths[parent] > limits::kFlowDepth) {
      throw Error(Code::invalid_argument, "sending jobs: more than " + std::to_string(limits::kFlowDepth) +
                                              " jobs wait for one another");
    }
    children_[parent].push_back(index);
  }
}

void QueueFlows::link(std::size_t index, std::uint32_t first_place, JobRecord& record) const {
  if (children_.empty()) return;
  const auto suffix_of = [&](std::size_t job) {
    return job_suffix(first_place + static_cast<std::uint32_t>(job));
  };
  if (jobs_[index].parent) record.parent = suffix_of(*jobs_[index].parent);
  for (const std::size_t child : children_[index]) record.children.push_back(suffix_of(child));
  if (!record.children.empty()) record.child_failure = jobs_[index].child_failure;
}

void QueueFlows::refuse_taken(Transaction& transaction, const QueueKeys& keys) const {
  std::map<View, std::size_t> times;
  for (const NewJob& job : jobs_) ++times[job.options.unique_key];
  std::vector<Bytes> wanted;
  bool is_taken = false;
  for (std::size_t index = 0; index < children_.size(); ++index) {
    const Bytes& key = jobs_[index].options.unique_key;
    if (key.empty() || (!jobs_[index].parent && children_[index].empty())) continue;
    wanted.push_back(keys.unique(key));
    is_taken = is_taken || times[key] > 1;
  }
  if (wanted.empty()) return;
  for (const std::optional<Entry>& holder : transaction.get(wanted)) is_taken = is_taken || holder;
  if (!is_taken) return;
  throw Error(Code::already_exists,
              "jobs that wait for one another cannot be sent while another job has the unique key of one of "
              "them; wait for that one");
}

}  // namespace holdfast
