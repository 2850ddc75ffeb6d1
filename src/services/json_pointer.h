// Pointers into JSON text (RFC 6901), followed without building a document.
#pragma once

#include <optional>
#include <vector>

#include "holdfast/types.h"

namespace holdfast {

/// A plain value.
class JsonPointer {
 public:
  /// "" is the whole document, "/a/0" the first element of its member a; "~1" stands for '/', "~0" for '~'.
  /// Throws invalid_argument.
  static JsonPointer parse(View text);

  /// The text of what is there in `document`, which is JSON without white space; nothing if there is nothing.
  /// Of several members of one name the last counts. Cost: one pass.
  std::optional<View> find(View document) const;

 private:
  std::vector<Bytes> steps_;
};

}  // namespace holdfast
