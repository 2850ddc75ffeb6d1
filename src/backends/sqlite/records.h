// The values that are stored as one blob each: a row of the change log, the outcomes of a session's last
// group, a session, and a fence. Decoding checks everything and throws Error(corruption); it never reads past
// its input.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <vector>

#include "contract/head.h"
#include "holdfast/backend.h"
#include "holdfast/types.h"

namespace holdfast::sqlite {

/// Rows of the change log hold whole commits, one after another, and are closed above this size: larger rows
/// would spill into overflow pages, smaller ones cost an insert per commit.
inline constexpr std::size_t kLogRowBytes = 800;

/// Collects commits for one row of the change log.
class LogRow {
 public:
  /// `seq` is above that of the commit appended before. `keys` is sorted in place, and repeated keys go.
  void append(Seq seq, std::vector<Bytes>& keys);
  bool empty() const { return bytes_.empty(); }
  bool full() const { return bytes_.size() >= kLogRowBytes; }
  Seq last() const { return last_; }
  const Bytes& bytes() const { return bytes_; }
  void clear();

 private:
  Bytes bytes_;
  Seq last_ = 0;
};

/// The commits of a row, oldest first. `visit` gets the seq and the keys (sorted, valid during the call) of
/// each, and returns whether to go on; false is passed on.
bool for_each_commit(View row, const std::function<bool(Seq, const std::vector<View>&)>& visit);

/// Outcomes are stored as the failed ones only: seqs follow from the position after the group.
Bytes encode_outcomes(const std::vector<Outcome>& outcomes);
std::vector<Outcome> decode_outcomes(View bytes, Position at);

/// 16 bytes.
Bytes session_key(const SessionId& id);
struct StoredSession {
  Bytes key;
  SessionRecord record;
};
/// Begins with the key.
Bytes encode_session(const SessionId& id, const SessionRecord& record);
StoredSession decode_session(View bytes);

/// An open fence is stored as nothing. Readable: "frozen 123 0 0 0 place".
std::optional<Bytes> encode_fence(const Fence& fence);
Fence decode_fence(View bytes);

/// Whether a value can be stored as TEXT without changing: valid UTF-8 and no NUL.
bool is_text(View bytes);

}  // namespace holdfast::sqlite
