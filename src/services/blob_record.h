// What the entry of a blob says:
//
//     {"object":"<id>","size_bytes":n,"hash":"<64 hex>","created_at_ms":n,"updated_at_ms":n,
//      "content_type":"<text>","metadata":{...}}
//
// without white space, members in this order.
#pragma once

#include "holdfast/blobs.h"

namespace holdfast {

struct BlobRecord {
  ObjectId object;
  BlobInfo info;  ///< key and version are the entry's

  Bytes text() const;
  /// Of the blob `key`. Throws corruption.
  static BlobRecord parse(View key, const Entry& entry);
};

/// Throws invalid_argument.
void validate_content_type(View content_type);
void validate_metadata(const Payload& metadata);

}  // namespace holdfast
