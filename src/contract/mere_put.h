// What most commits are, so that backends have a shorter way for it.
#pragma once

#include "holdfast/backend.h"

namespace holdfast {

/// Whether the batch puts one key, with no check but one for a version, or the absence, of that key.
inline bool is_mere_put(const Batch& batch) {
  if (batch.writes.size() != 1 || batch.checks.size() > 1) return false;
  const Write& write = batch.writes.front();
  if (write.kind != Write::Kind::put || write.version != 0) return false;
  if (batch.checks.empty()) return true;
  const Check& check = batch.checks.front();
  return check.kind != Check::Kind::unchanged && check.key == write.key;
}

}  // namespace holdfast
