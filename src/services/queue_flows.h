// Which of the jobs of one commit wait for which.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "holdfast/queue.h"
#include "services/queue_keys.h"
#include "services/queue_record.h"

namespace holdfast {

class QueueFlows {
 public:
  /// Throws invalid_argument for parents that are none. The jobs have to stay where they are.
  explicit QueueFlows(std::span<const NewJob> jobs);

  /// Tells the record of the job at `index` whom it waits for and who waits for it, if the first of the jobs
  /// is at `first_place` in its commit.
  void link(std::size_t index, std::uint32_t first_place, JobRecord& record) const;
  /// Before anything is put: throws already_exists if a job that waits or is waited for would not be made,
  /// because another one has its unique key.
  void refuse_taken(Transaction& transaction, const QueueKeys& keys) const;

 private:
  std::span<const NewJob> jobs_;
  std::vector<std::vector<std::size_t>> children_;  ///< of each job; empty where there are no flows
};

}  // namespace holdfast
