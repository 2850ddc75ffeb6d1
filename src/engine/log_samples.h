// How long a change log was at past instants, so that somebody who has just started knows which commit is an
// hour old. Values, and the text that they are stored as.
#pragma once

#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "holdfast/types.h"

namespace holdfast {

class LogSamples {
 public:
  /// The newest commit is `at` now. Forgets samples that no question about `kept_ms` ago needs any more, and
  /// all samples of another history.
  void add(UnixMs now_ms, Position at, std::int64_t kept_ms);
  /// A commit that is at least `age_ms` old, as young as the samples can tell; 0 if they cannot.
  Seq seq_older_than(UnixMs now_ms, std::int64_t age_ms) const;
  bool empty() const { return samples_.empty(); }

  /// {"history":7,"samples":[[1700000000000,12],...]}
  Bytes text() const;
  /// What cannot be read is forgotten: the samples begin anew.
  static LogSamples parse(View text);

 private:
  std::uint64_t history_ = 0;
  std::vector<std::pair<UnixMs, Seq>> samples_;  ///< both ascending
};

/// The seq of a pin: decimal, or {"seq":n}; nothing if it is neither.
std::optional<Seq> parse_pin(View value);

}  // namespace holdfast
