#include "services/tasks_record.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>

#include "contract/validate.h"
#include "holdfast/error.h"
#include "services/keys.h"
#include "services/payload_codec.h"

namespace holdfast {
namespace {

constexpr std::size_t kTaskNumberDigits = 16;

[[noreturn]] void fail_as_unreadable_task() {
  throw Error(Code::corruption, "an entry of tasks cannot be read; restore the database from a backup");
}

void demand_of_task(bool holds, const Bytes& what) {
  if (!holds) throw Error(Code::invalid_argument, what);
}

TaskState task_state_of(View text) {
  for (const TaskState state : {TaskState::waiting, TaskState::running, TaskState::dead}) {
    if (text == name(state)) return state;
  }
  fail_as_unreadable_task();
}

AttemptResult attempt_result_of(View text) {
  for (const AttemptResult result : {AttemptResult::done, AttemptResult::failed, AttemptResult::deferred,
                                     AttemptResult::released, AttemptResult::lost}) {
    if (text == name(result)) return result;
  }
  fail_as_unreadable_task();
}

Bytes task_time_segment(UnixMs at_ms) {
  return number_segment(static_cast<std::uint64_t>(std::max<UnixMs>(at_ms, 0)));
}

}  // namespace

const char* name(TaskState state) {
  switch (state) {
    case TaskState::waiting:
      return "waiting";
    case TaskState::running:
      return "running";
    case TaskState::dead:
      return "dead";
  }
  throw Error(Code::invalid_argument, "a state of tasks that there is not");
}

const char* name(AttemptResult result) {
  switch (result) {
    case AttemptResult::done:
      return "done";
    case AttemptResult::failed:
      return "failed";
    case AttemptResult::deferred:
      return "deferred";
    case AttemptResult::released:
      return "released";
    case AttemptResult::lost:
      return "lost";
  }
  throw Error(Code::invalid_argument, "a result of attempts that there is not");
}

TaskKeys::TaskKeys(View prefix) : base_(Bytes(prefix) + '/') { validate_service_prefix(prefix); }

Bytes TaskKeys::waiting(View type) const { return waiting() + escaped_segment(type) + '/'; }
Bytes TaskKeys::waiting(View type, UnixMs due_at_ms, View id) const {
  return waiting(type) + task_time_segment(due_at_ms) + '/' + Bytes(id);
}
Bytes TaskKeys::running(View type) const { return running() + escaped_segment(type) + '/'; }
Bytes TaskKeys::unique(View type, View key) const {
  return base_ + "unique/" + escaped_segment(type) + '/' + Bytes(key);
}
Bytes TaskKeys::attempt(View id, std::uint32_t number) const { return attempts(id) + number_segment(number); }
Bytes TaskKeys::ended(UnixMs at_ms) const { return ended() + task_time_segment(at_ms) + '/'; }
Bytes TaskKeys::ended(const TaskAttempt& attempt) const {
  return ended(attempt.ended_at_ms) + attempt.task + '/' + number_segment(attempt.number);
}
Bytes TaskKeys::attempt_of_ended(View key) const {
  const std::size_t begin = ended().size() + kTaskNumberDigits + 1;
  if (key.size() != begin + kTaskIdBytes + 1 + kTaskNumberDigits) fail_as_unreadable_task();
  return base_ + "attempt/" + Bytes(key.substr(begin));
}
UnixMs TaskKeys::due_at_ms(View key) {
  if (key.size() < kTaskIdBytes + 1 + kTaskNumberDigits) fail_as_unreadable_task();
  const View digits = key.substr(key.size() - kTaskIdBytes - 1 - kTaskNumberDigits, kTaskNumberDigits);
  return static_cast<UnixMs>(segment_number(digits));
}

void validate_task_id(View id) {
  const auto is_digit = [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); };
  demand_of_task(id.size() == kTaskIdBytes && std::ranges::all_of(id, is_digit),
                 "the id of a task is 32 lower-case hexadecimal digits");
}

void validate_task_type(View type) {
  demand_of_task(!type.empty() && type.size() <= limits::kTaskTypeBytes && is_utf8(type),
                 "the type of a task is 1 to " + std::to_string(limits::kTaskTypeBytes) + " bytes of UTF-8");
}

void validate_new_task(View type, const NewTask& task) {
  validate_task_type(type);
  demand_of_task(task.body.size_bytes() <= limits::kTaskBodyBytes,
                 "the body of a task of " + std::to_string(task.body.size_bytes()) +
                     " bytes: the maximum is " + std::to_string(limits::kTaskBodyBytes) +
                     "; put the rest into an entry or a blob");
  demand_of_task(
      task.unique_key.size() <= limits::kTaskKeyBytes && is_utf8(task.unique_key),
      "the unique key of a task is up to " + std::to_string(limits::kTaskKeyBytes) + " bytes of UTF-8");
  demand_of_task(task.delay.count() >= 0 && task.delay <= limits::kTaskDelay,
                 "the delay of a task is 0 to ten years");
  if (!task.previous.empty()) validate_task_id(task.previous);
}

TaskId new_task_id(UnixMs now_ms, Random& random) {
  constexpr std::size_t kTimeDigits = 12;
  constexpr std::size_t kMoreDigits = kTaskIdBytes - kTimeDigits - kTaskNumberDigits;
  return task_time_segment(now_ms).substr(kTaskNumberDigits - kTimeDigits) + number_segment(random.next()) +
         number_segment(random.next()).substr(0, kMoreDigits);
}

Bytes task_error(View text) {
  Bytes error(text.substr(0, limits::kTaskErrorBytes));
  // A cut may have gone through a character.
  for (int i = 0; i < 3 && !error.empty() && error.size() < text.size() && !is_utf8(error); ++i) {
    error.pop_back();
  }
  if (is_utf8(error)) return error;
  for (char& c : error) {
    if (static_cast<unsigned char>(c) >= 0x80) c = '?';
  }
  return error;
}

Bytes text_of(const Task& task) {
  nlohmann::ordered_json rest = {
      {"type", task.type},         {"state", name(task.state)},       {"retries", task.retries},
      {"attempts", task.attempts}, {"added_at_ms", task.added_at_ms}, {"due_at_ms", task.due_at_ms}};
  if (!task.added_by.empty()) rest["added_by"] = task.added_by;
  if (!task.previous.empty()) rest["previous"] = task.previous;
  if (!task.unique_key.empty()) rest["unique_key"] = task.unique_key;
  if (!task.session.empty()) rest["session"] = task.session;
  if (task.started_at_ms != 0) rest["started_at_ms"] = task.started_at_ms;
  if (!task.error.empty()) rest["error"] = task.error;
  if (task.died_at_ms != 0) rest["died_at_ms"] = task.died_at_ms;
  const Bytes text = rest.dump();
  Bytes out = "{\"rest_bytes\":" + std::to_string(text.size()) + ",\"rest\":" + text + ',';
  PayloadCodec::append_members({task.body.kind(), task.body.text(), {}, task.body.size_bytes()}, out);
  return out;
}

Task parse_task(View id, View text) {
  Task task;
  task.id = id;
  try {
    EnvelopeReader reader(text);
    const auto size = static_cast<std::size_t>(reader.literal("{\"rest_bytes\":").number());
    const View rest_text = reader.literal(",\"rest\":").rest().substr(0, size);
    const auto rest = nlohmann::json::parse(rest_text);
    task.body =
        PayloadCodec::of_text(PayloadCodec::parse_members(reader.literal(rest_text).literal(",").rest()));
    task.type = rest.at("type");
    task.state = task_state_of(rest.at("state").get<Bytes>());
    task.retries = rest.at("retries");
    task.attempts = rest.at("attempts");
    task.added_at_ms = rest.at("added_at_ms");
    task.due_at_ms = rest.at("due_at_ms");
    task.added_by = rest.value("added_by", Bytes());
    task.previous = rest.value("previous", Bytes());
    task.unique_key = rest.value("unique_key", Bytes());
    task.session = rest.value("session", Bytes());
    task.started_at_ms = rest.value("started_at_ms", UnixMs{0});
    task.error = rest.value("error", Bytes());
    task.died_at_ms = rest.value("died_at_ms", UnixMs{0});
  } catch (const nlohmann::json::exception&) {
    fail_as_unreadable_task();
  }
  return task;
}

Bytes text_of(const TaskAttempt& attempt) {
  return nlohmann::ordered_json{{"task", attempt.task},
                                {"type", attempt.type},
                                {"number", attempt.number},
                                {"session", attempt.session},
                                {"started_at_ms", attempt.started_at_ms},
                                {"ended_at_ms", attempt.ended_at_ms},
                                {"result", name(attempt.result)},
                                {"error", attempt.error}}
      .dump();
}

TaskAttempt parse_attempt(View text) {
  TaskAttempt attempt;
  try {
    const auto json = nlohmann::json::parse(text);
    attempt.task = json.at("task");
    attempt.type = json.at("type");
    attempt.number = json.at("number");
    attempt.session = json.at("session");
    attempt.started_at_ms = json.at("started_at_ms");
    attempt.ended_at_ms = json.at("ended_at_ms");
    attempt.result = attempt_result_of(json.at("result").get<Bytes>());
    attempt.error = json.at("error");
  } catch (const nlohmann::json::exception&) {
    fail_as_unreadable_task();
  }
  return attempt;
}

Bytes text_of(const TaskSession& session) {
  return nlohmann::ordered_json{{"started_at_ms", session.started_at_ms},
                                {"lease_ends_at_ms", session.lease_ends_at_ms},
                                {"over", session.is_over}}
      .dump();
}

TaskSession parse_session(View id, View text) {
  TaskSession session;
  session.id = id;
  try {
    const auto json = nlohmann::json::parse(text);
    session.started_at_ms = json.at("started_at_ms");
    session.lease_ends_at_ms = json.at("lease_ends_at_ms");
    session.is_over = json.at("over");
  } catch (const nlohmann::json::exception&) {
    fail_as_unreadable_task();
  }
  return session;
}

}  // namespace holdfast
