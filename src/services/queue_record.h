// A job and the settings of a queue, as their entries have them.
#pragma once

#include <optional>
#include <vector>

#include "holdfast/queue.h"
#include "services/payload_codec.h"

namespace holdfast {

struct JobRecord {
  UnixMs sent_at_ms = 0;
  std::uint32_t attempts = 0;
  int priority = 5;
  // What most jobs do not have.
  Bytes kind;
  Bytes ordering_key;
  Bytes unique_key;
  bool is_unique_while_live = false;
  std::int64_t unique_after_completion_ms = 0;
  std::int64_t unique_after_death_ms = 0;
  Bytes tenant;
  std::optional<UnixMs> run_at_ms;  ///< of one that was sent with a delay
  /// Of jobs of the same commit, what stands behind the stamp in their ids: of the one that waits for this
  /// one, and of those that this one waits for.
  Bytes parent;
  std::vector<Bytes> children;
  ChildFailure child_failure = ChildFailure::wait;
  std::vector<JobError> errors;
  std::optional<double> progress;
  std::vector<JobLogLine> log;
  Bytes reason;
  UnixMs finished_at_ms = 0;
  StoredPayload body;

  Bytes envelope() const;
  /// Throws corruption.
  static JobRecord parse(View envelope);
  /// One that says no more than is_unreadable() of what parse() refuses.
  static JobRecord parse_any(View envelope);
  bool is_unreadable() const { return reason == "unreadable"; }

  /// To be completed it has only to be removed.
  bool is_plain() const {
    return ordering_key.empty() && !is_unique_while_live && parent.empty() && !body.is_object();
  }
  /// Keeps what the attempt has failed with, within the limits.
  void note_error(UnixMs now_ms, View text);
  void note(UnixMs now_ms, const JobNotes& notes);
};

/// Throw invalid_argument.
void validate_options(const SendOptions& options);
void validate_settings(const QueueSettings& settings);
Bytes settings_text(const QueueSettings& settings);
/// Throws corruption.
QueueSettings parse_settings(View text);
/// The wait after the `attempts`-th failure; `random` decides about the jitter.
std::chrono::milliseconds backoff_of(const QueueSettings& settings, std::uint32_t attempts,
                                     std::uint64_t random);

}  // namespace holdfast
