// The server's log: one JSON object per line. No key, value, token or URL is ever in it.
#pragma once

#include <memory>
#include <string>

#include "server/http/message.h"

namespace holdfast::server {

/// Thread-safe. Levels: trace, debug, info, warn, error, off. At info there is one line per request, at warn
/// only those that failed by the server's fault.
class RequestLog {
 public:
  /// Throws invalid_argument for a level that is none. Lines go to standard error, or to `path`.
  RequestLog(const std::string& level, const std::string& path);
  ~RequestLog();
  RequestLog(const RequestLog&) = delete;
  RequestLog& operator=(const RequestLog&) = delete;

  void write(const Exchange& exchange) noexcept;
  /// `members` are further members of the line, as JSON text: "\"port\":80".
  void info(View message, View members = {}) noexcept;
  void warn(View message, View members = {}) noexcept;
  void flush() noexcept;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace holdfast::server
