#include "services/queue_keys.h"

#include <algorithm>
#include <string>

#include "holdfast/error.h"
#include "services/keys.h"

namespace holdfast {
namespace {

constexpr std::size_t kNumberBytes = 16;
constexpr View kPlain = "-p";
constexpr View kRead = "-r";

bool is_hex(View text) {
  return std::ranges::all_of(text, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

/// Instants before 1970 sort as 1970: whatever is due then is due now.
Bytes time_segment(UnixMs time_ms) {
  return number_segment(static_cast<std::uint64_t>(std::max<UnixMs>(time_ms, 0)));
}

}  // namespace

QueueKeys::QueueKeys(View prefix, View queue) {
  validate_service_prefix(prefix);
  if (queue.empty() || queue.size() > limits::kQueueNameBytes) {
    throw Error(Code::invalid_argument, "the name of a queue of " + std::to_string(queue.size()) +
                                            " bytes: it has at least 1 and at most " +
                                            std::to_string(limits::kQueueNameBytes));
  }
  base_ = Bytes(prefix) + '/' + escaped_segment(queue) + '/';
}

Bytes QueueKeys::ready(View tenant, int priority) const {
  Bytes key = tenant.empty() ? ready() : tenants() + short_segment(tenant) + '/';
  key += static_cast<char>('0' + priority);
  return key + '/';
}

Bytes QueueKeys::delayed(UnixMs due_at_ms) const { return delayed() + time_segment(due_at_ms) + '/'; }
Bytes QueueKeys::leased(UnixMs ends_at_ms) const { return leased() + time_segment(ends_at_ms) + '/'; }
Bytes QueueKeys::finished(UnixMs at_ms) const { return finished() + time_segment(at_ms) + '/'; }

Bytes QueueKeys::chain(View ordering_key) const { return chains() + short_segment(ordering_key) + '/'; }
Bytes QueueKeys::lock(View ordering_key) const { return base_ + "lock/" + short_segment(ordering_key); }
Bytes QueueKeys::unique(View unique_key) const { return base_ + "unique/" + short_segment(unique_key); }

Bytes QueueKeys::child(View parent, View id) const {
  return children(parent) + Bytes(id.substr(kJobStampBytes));
}

Range QueueKeys::due(const Bytes& of, UnixMs now_ms) { return {of, of + time_segment(now_ms + 1)}; }

Bytes QueueKeys::where(View key) const {
  return Bytes(key.substr(base_.size(), key.size() - base_.size() - kJobIdBytes));
}

Bytes job_suffix(std::uint32_t place) { return '-' + number_segment(place).substr(12); }

void validate_job_id(View id) {
  const bool is_valid = id.size() == kJobIdBytes && id[kJobStampBytes] == '-' &&
                        is_hex(id.substr(0, kJobStampBytes)) && is_hex(id.substr(kJobStampBytes + 1));
  if (is_valid) return;
  throw Error(Code::invalid_argument,
              "the id of a job has 16 lower-case hexadecimal digits, '-', and 4 more");
}

Bytes LeaseToken::text() const {
  Bytes text = time_segment(ends_at_ms) + number_segment(version);
  text += is_plain ? kPlain : kRead;
  if (is_plain) text += number_segment(settings_version);
  return text;
}

LeaseToken LeaseToken::parse(View text) {
  const auto number = [&](std::size_t at) { return segment_number(text.substr(at, kNumberBytes)); };
  constexpr std::size_t kReadBytes = 2 * kNumberBytes + kRead.size();
  constexpr std::size_t kPlainBytes = kReadBytes + kNumberBytes;
  const View mark = text.size() >= kReadBytes ? text.substr(2 * kNumberBytes, kRead.size()) : View();
  const bool is_plain = text.size() == kPlainBytes && mark == kPlain;
  const bool is_read = text.size() == kReadBytes && mark == kRead;
  if ((!is_plain && !is_read) || !is_hex(text.substr(0, 2 * kNumberBytes)) ||
      !is_hex(text.substr(kReadBytes))) {
    throw Error(Code::invalid_argument, "the token of a lease is none that a delivery has given");
  }
  return {static_cast<UnixMs>(number(0)), number(kNumberBytes), is_plain, is_plain ? number(kReadBytes) : 0};
}

}  // namespace holdfast
