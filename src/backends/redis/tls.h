// TLS over a stream.
#pragma once

#include <memory>

#include "backends/redis/stream.h"

namespace holdfast::redis {

/// Shakes hands; the certificate must be of a known authority and name the host, unless the address says
/// otherwise. Throws permission_denied where it does not.
std::unique_ptr<Stream> secured(std::unique_ptr<Stream> below, const Address& address, Deadline deadline);

}  // namespace holdfast::redis
