#include "services/queue_record.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <nlohmann/json.hpp>
#include <string>

#include "contract/validate.h"
#include "holdfast/error.h"

namespace holdfast {
namespace {

using std::chrono::milliseconds;

void append_number(Bytes& out, std::int64_t number) {
  char digits[24];
  const auto end = std::to_chars(digits, digits + sizeof digits, number).ptr;
  out.append(digits, end);
}

[[noreturn]] void fail_as_unreadable() {
  throw Error(Code::corruption, "an entry of a queue cannot be read; restore the database from a backup");
}

/// What most jobs do not have; empty if this one has nothing of it.
Bytes text_of_rest(const JobRecord& record) {
  nlohmann::ordered_json rest;
  if (!record.kind.empty()) rest["kind"] = record.kind;
  if (!record.ordering_key.empty()) rest["ordering_key"] = record.ordering_key;
  if (!record.unique_key.empty()) rest["unique_key"] = record.unique_key;
  if (record.is_unique_while_live) rest["unique_while_live"] = true;
  if (record.unique_after_completion_ms != 0) {
    rest["unique_after_completion_ms"] = record.unique_after_completion_ms;
  }
  if (record.unique_after_death_ms != 0) rest["unique_after_death_ms"] = record.unique_after_death_ms;
  if (!record.tenant.empty()) rest["tenant"] = record.tenant;
  if (record.run_at_ms) rest["run_at_ms"] = *record.run_at_ms;
  if (!record.parent.empty()) rest["parent"] = record.parent;
  if (!record.children.empty()) rest["children"] = record.children;
  if (record.child_failure != ChildFailure::wait) rest["child_failure"] = name(record.child_failure);
  for (const JobError& error : record.errors) {
    rest["errors"].push_back({{"attempt", error.attempt}, {"at_ms", error.at_ms}, {"text", error.text}});
  }
  if (record.progress) rest["progress"] = *record.progress;
  for (const JobLogLine& line : record.log) {
    rest["log"].push_back({{"at_ms", line.at_ms}, {"text", line.text}});
  }
  if (!record.reason.empty()) rest["reason"] = record.reason;
  if (record.finished_at_ms != 0) rest["finished_ms"] = record.finished_at_ms;
  return rest.is_null() ? Bytes() : rest.dump();
}

ChildFailure child_failure_of(View word) {
  for (const ChildFailure failure : {ChildFailure::wait, ChildFailure::run, ChildFailure::die}) {
    if (name(failure) == word) return failure;
  }
  fail_as_unreadable();
}

void parse_rest(View text, JobRecord& record) {
  try {
    const auto rest = nlohmann::json::parse(text);
    for (const auto& [name, value] : rest.items()) {
      if (name == "kind") record.kind = value.get<Bytes>();
      if (name == "ordering_key") record.ordering_key = value.get<Bytes>();
      if (name == "unique_key") record.unique_key = value.get<Bytes>();
      if (name == "unique_while_live") record.is_unique_while_live = value.get<bool>();
      if (name == "unique_after_completion_ms") record.unique_after_completion_ms = value.get<std::int64_t>();
      if (name == "unique_after_death_ms") record.unique_after_death_ms = value.get<std::int64_t>();
      if (name == "tenant") record.tenant = value.get<Bytes>();
      if (name == "run_at_ms") record.run_at_ms = value.get<UnixMs>();
      if (name == "parent") record.parent = value.get<Bytes>();
      if (name == "children") record.children = value.get<std::vector<Bytes>>();
      if (name == "child_failure") record.child_failure = child_failure_of(value.get<Bytes>());
      if (name == "reason") record.reason = value.get<Bytes>();
      if (name == "finished_ms") record.finished_at_ms = value.get<UnixMs>();
      if (name == "progress") record.progress = value.get<double>();
      if (name == "log") {
        for (const auto& line : value) {
          record.log.push_back({line.at("at_ms").get<UnixMs>(), line.at("text").get<Bytes>()});
        }
      }
      if (name != "errors") continue;
      for (const auto& error : value) {
        record.errors.push_back(
            {error.at("attempt"), error.at("at_ms").get<UnixMs>(), error.at("text").get<Bytes>()});
      }
    }
  } catch (const nlohmann::json::exception&) {
    fail_as_unreadable();
  }
}

/// The beginning of `text`, cut between characters.
Bytes beginning(View text, std::size_t most) {
  std::size_t size = std::min(text.size(), most);
  if (size < text.size()) {
    while (size > 0 && (static_cast<unsigned char>(text[size]) & 0xc0) == 0x80) --size;
  }
  return Bytes(text.substr(0, size));
}

/// Errors come from anywhere: what is not UTF-8 is replaced rather than refused.
Bytes readable(Bytes text) {
  if (is_utf8(text)) return text;
  std::ranges::replace_if(text, [](char c) { return (static_cast<unsigned char>(c) & 0x80) != 0; }, '?');
  return text;
}

}  // namespace

Bytes JobRecord::envelope() const {
  Bytes out;
  out.reserve(64 + body.text.size());
  out += "{\"sent_ms\":";
  append_number(out, sent_at_ms);
  out += ",\"attempts\":";
  append_number(out, attempts);
  out += ",\"priority\":";
  append_number(out, priority);
  if (const Bytes rest = text_of_rest(*this); !rest.empty()) {
    out += ",\"rest_bytes\":";
    append_number(out, static_cast<std::int64_t>(rest.size()));
    out += ",\"rest\":";
    out += rest;
  }
  out += ',';
  PayloadCodec::append_members(body, out);
  return out;
}

JobRecord JobRecord::parse(View envelope) {
  JobRecord record;
  EnvelopeReader reader(envelope);
  record.sent_at_ms = reader.literal("{\"sent_ms\":").number();
  record.attempts = static_cast<std::uint32_t>(reader.literal(",\"attempts\":").number());
  record.priority = static_cast<int>(reader.literal(",\"priority\":").number());
  if (reader.skip(",\"rest_bytes\":")) {
    const auto size = static_cast<std::size_t>(reader.number());
    reader.literal(",\"rest\":");
    if (size > reader.rest().size()) fail_as_unreadable();
    const View rest = reader.rest().substr(0, size);
    parse_rest(rest, record);
    reader.literal(rest);
  }
  record.body = PayloadCodec::parse_members(reader.literal(",").rest());
  return record;
}

JobRecord JobRecord::parse_any(View envelope) {
  try {
    return parse(envelope);
  } catch (const Error& error) {
    if (error.code() != Code::corruption) throw;
    JobRecord record;
    record.reason = "unreadable";
    return record;
  }
}

void JobRecord::note_error(UnixMs now_ms, View text) {
  errors.push_back({attempts, now_ms, readable(beginning(text, limits::kJobErrorBytes))});
  if (errors.size() > limits::kJobErrors) errors.erase(errors.begin());
}

void JobRecord::note(UnixMs now_ms, const JobNotes& notes) {
  if (notes.progress) progress = *notes.progress >= 0 ? std::min(*notes.progress, 1.0) : 0.0;
  for (const Bytes& line : notes.lines) {
    log.push_back({now_ms, readable(beginning(line, limits::kJobLogBytes))});
  }
  if (log.size() > limits::kJobLogLines) {
    log.erase(log.begin(), log.end() - static_cast<std::ptrdiff_t>(limits::kJobLogLines));
  }
}

void validate_settings(const QueueSettings& settings) {
  const auto demand = [](bool holds, const char* what) {
    if (!holds) throw Error(Code::invalid_argument, Bytes("the settings of a queue: ") + what);
  };
  demand(settings.lease >= milliseconds(1) && settings.lease <= limits::kJobLease,
         "a lease lasts 1 ms to 24 hours");
  demand(settings.max_attempts >= 1, "max_attempts is 1 or more");
  demand(settings.backoff >= milliseconds(0) && settings.backoff_max >= settings.backoff,
         "backoff is 0 or more, and backoff_max not below it");
  demand(settings.backoff_max <= std::chrono::hours(24 * 365), "backoff_max is a year at most");
  demand(settings.backoff_factor >= 1 && settings.backoff_factor <= 1'000, "backoff_factor is 1 to 1,000");
  demand(settings.backoff_jitter >= 0 && settings.backoff_jitter <= 1, "backoff_jitter is 0 to 1");
  demand(settings.keep_completed >= milliseconds(0) &&
             settings.keep_completed <= std::chrono::hours(24 * 365 * 10),
         "keep_completed is 0 to ten years");
  demand(settings.max_completed <= 10'000'000, "max_completed is at most 10,000,000");
  demand(settings.max_completed == 0 || settings.keep_completed.count() > 0,
         "max_completed needs keep_completed");
  demand(settings.max_leased <= 9'000, "max_leased is at most 9,000");
  demand(settings.rate_interval >= milliseconds(1) && settings.rate_interval <= std::chrono::hours(24),
         "rate_interval is 1 ms to 24 hours");
  demand(settings.rate <= 1'000'000 && settings.rate_burst <= 1'000'000,
         "rate and rate_burst are at most 1,000,000");
  demand(settings.weights.size() <= 100, "at most 100 tenants have a weight");
  for (const auto& [tenant, weight] : settings.weights) {
    demand(weight >= 1 && weight <= 1'000, "a weight is 1 to 1,000");
    demand(tenant.size() <= limits::kJobTextBytes && is_utf8(tenant),
           "a tenant has at most 400 bytes of UTF-8");
  }
}

Bytes settings_text(const QueueSettings& settings) {
  return nlohmann::ordered_json{{"lease_ms", settings.lease.count()},
                                {"max_attempts", settings.max_attempts},
                                {"backoff_ms", settings.backoff.count()},
                                {"backoff_max_ms", settings.backoff_max.count()},
                                {"backoff_factor", settings.backoff_factor},
                                {"backoff_jitter", settings.backoff_jitter},
                                {"keep_completed_ms", settings.keep_completed.count()},
                                {"max_completed", settings.max_completed},
                                {"max_leased", settings.max_leased},
                                {"rate", settings.rate},
                                {"rate_interval_ms", settings.rate_interval.count()},
                                {"rate_burst", settings.rate_burst},
                                {"weights", settings.weights}}
      .dump();
}

QueueSettings parse_settings(View text) {
  try {
    const auto stored = nlohmann::json::parse(text);
    QueueSettings settings;
    settings.lease = milliseconds(stored.at("lease_ms").get<std::int64_t>());
    settings.max_attempts = stored.at("max_attempts");
    settings.backoff = milliseconds(stored.at("backoff_ms").get<std::int64_t>());
    settings.backoff_max = milliseconds(stored.at("backoff_max_ms").get<std::int64_t>());
    settings.backoff_factor = stored.at("backoff_factor");
    settings.backoff_jitter = stored.at("backoff_jitter");
    settings.keep_completed = milliseconds(stored.at("keep_completed_ms").get<std::int64_t>());
    settings.max_completed = stored.value("max_completed", std::uint32_t{0});
    settings.max_leased = stored.at("max_leased");
    settings.rate = stored.at("rate");
    settings.rate_interval = milliseconds(stored.at("rate_interval_ms").get<std::int64_t>());
    settings.rate_burst = stored.at("rate_burst");
    settings.weights = stored.at("weights").get<std::map<Bytes, std::uint32_t>>();
    return settings;
  } catch (const nlohmann::json::exception&) {
    fail_as_unreadable();
  }
}

milliseconds backoff_of(const QueueSettings& settings, std::uint32_t attempts, std::uint64_t random) {
  if (settings.backoff.count() == 0) return milliseconds(0);
  const double exponent = attempts == 0 ? 0 : attempts - 1;
  const double longest = std::min(static_cast<double>(settings.backoff_max.count()),
                                  static_cast<double>(settings.backoff.count()) *
                                      std::pow(settings.backoff_factor, std::min(exponent, 1'000.0)));
  const double share = static_cast<double>(random >> 11) / 9007199254740992.0;  // 2^53: below 1
  return milliseconds(static_cast<std::int64_t>(longest * (1 - settings.backoff_jitter * share)));
}

}  // namespace holdfast
