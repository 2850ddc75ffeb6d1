// The byte budget of an answer (§2.4), counted the same way by every backend.
#pragma once

#include <cstddef>

#include "holdfast/limits.h"
#include "holdfast/types.h"

namespace holdfast {

class AnswerBudget {
 public:
  /// Takes room for an entry's key and value; false if it does not fit. The first entry of an answer always
  /// fits.
  bool take(std::size_t key_bytes, std::size_t value_bytes) {
    const std::size_t bytes = key_bytes + value_bytes;
    if (taken_ != 0 && taken_ + bytes > limits::kAnswerBytes) return false;
    taken_ += bytes;
    return true;
  }
  std::size_t taken_bytes() const { return taken_; }

 private:
  std::size_t taken_ = 0;
};

/// The 16 digits that put_stamped inserts.
Bytes stamp(Seq seq);
/// The key that a write goes to when its batch is committed at `seq`.
Bytes written_key(const Write& write, Seq seq);

}  // namespace holdfast
