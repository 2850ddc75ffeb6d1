#include "server/request_log.h"

#include <spdlog/logger.h>
#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>

#include <array>
#include <string>
#include <vector>

#include "contract/url.h"
#include "server/json.h"

namespace holdfast::server {
namespace {

const std::vector<std::string> kLevels = {"trace", "debug", "info", "warn", "error", "off"};

std::shared_ptr<spdlog::sinks::sink> sink_of(const std::string& path) {
  if (path.empty()) return std::make_shared<spdlog::sinks::stderr_sink_mt>();
  try {
    return std::make_shared<spdlog::sinks::basic_file_sink_mt>(path);
  } catch (const spdlog::spdlog_ex&) {
    throw Error(Code::permission_denied, "the log file " + path + " cannot be opened for writing");
  }
}

}  // namespace

struct RequestLog::Impl {
  explicit Impl(const std::string& path) : logger("holdfast", sink_of(path)) {}
  spdlog::logger logger;

  void line(spdlog::level::level_enum level, View members) noexcept {
    try {
      logger.log(level, spdlog::string_view_t(members.data(), members.size()));
    } catch (...) {
      // A log that cannot be written is no reason to fail what it tells of.
      return;
    }
  }
};

RequestLog::RequestLog(const std::string& level, const std::string& path) {
  if (std::find(kLevels.begin(), kLevels.end(), level) == kLevels.end()) {
    refuse_request(unknown_word("log level", level, "", kLevels));
  }
  impl_ = std::make_unique<Impl>(path);
  impl_->logger.set_level(spdlog::level::from_str(level));
  impl_->logger.set_pattern("{\"time\":\"%Y-%m-%dT%H:%M:%S.%eZ\",\"level\":\"%l\",%v}",
                            spdlog::pattern_time_type::utc);
  impl_->logger.flush_on(spdlog::level::info);
}

RequestLog::~RequestLog() = default;

void RequestLog::write(const Exchange& exchange) noexcept {
  const auto level = exchange.status >= 500 ? spdlog::level::warn : spdlog::level::info;
  if (!impl_->logger.should_log(level)) return;
  try {
    std::string line = "\"message\":\"request\",\"request_id\":\"" + exchange.request.id + "\",\"method\":";
    line += json_quoted(exchange.request.method);
    line.append(",\"route\":\"").append(exchange.plan.label);
    line += "\",\"status\":" + std::to_string(exchange.status);
    line += ",\"duration_us\":" + std::to_string(exchange.duration.count() / 1000);
    line += ",\"received_bytes\":" + std::to_string(exchange.received_bytes);
    line += ",\"sent_bytes\":" + std::to_string(exchange.sent_bytes);
    line.append(",\"peer\":\"").append(exchange.request.peer).append("\"");
    if (!exchange.plan.principal.empty()) line += ",\"token\":" + json_quoted(exchange.plan.principal);
    if (exchange.cut) line += ",\"cut\":true";
    if (!exchange.error_code.empty()) line.append(",\"code\":\"").append(exchange.error_code).append("\"");
    if (!exchange.error_message.empty()) line += ",\"error\":" + json_quoted(exchange.error_message);
    impl_->line(level, line);
  } catch (const std::exception&) {
    return;
  }
}

void RequestLog::info(View message, View members) noexcept {
  std::string line = "\"message\":" + json_quoted(message);
  if (!members.empty()) line.append(",").append(members);
  impl_->line(spdlog::level::info, line);
}

void RequestLog::warn(View message, View members) noexcept {
  std::string line = "\"message\":" + json_quoted(message);
  if (!members.empty()) line.append(",").append(members);
  impl_->line(spdlog::level::warn, line);
}

void RequestLog::flush() noexcept { impl_->logger.flush(); }

}  // namespace holdfast::server
