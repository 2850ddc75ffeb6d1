#include "holdfast/error.h"

#include <array>

namespace holdfast {

const char* name(Code code) {
  static constexpr std::array kNames = {
      "invalid_argument",   "not_found",   "already_exists",  "conflict",
      "capability_missing", "unavailable", "timeout",         "corruption",
      "permission_denied",  "compacted",   "history_changed", "session_conflict",
      "clock_skew",         "moved",       "closed",          "internal"};
  return kNames[static_cast<std::size_t>(code)];
}

const char* name(Retry retry) {
  static constexpr std::array kNames = {"never", "now", "backoff", "unknown_outcome"};
  return kNames[static_cast<std::size_t>(retry)];
}

Retry default_retry(Code code) {
  switch (code) {
    case Code::conflict:
    case Code::unavailable:
    case Code::timeout:
      return Retry::backoff;
    case Code::history_changed:
    case Code::moved:
      return Retry::now;
    default:
      return Retry::never;
  }
}

Error::Error(Code code, Retry retry, const std::string& message)
    : std::runtime_error(message), code_(code), retry_(retry) {}

Error Error::history_changed(View database, Position at) {
  Error error(Code::history_changed,
              "the history of database \"" + std::string(database) +
                  "\" is another one now; what was read before may be gone: read again");
  error.at_ = at;
  return error;
}

Error Error::moved(View database, View place) {
  Error error(Code::moved, "database \"" + std::string(database) + "\" was moved; open it at its new place");
  error.place_ = Bytes(place);
  return error;
}

Error Error::with_unknown_outcome() const {
  Error error = *this;
  error.retry_ = Retry::unknown_outcome;
  return error;
}

}  // namespace holdfast
