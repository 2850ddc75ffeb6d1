// What the routes of job queues and of schedules share.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "holdfast/queue.h"
#include "server/payload_json.h"

namespace holdfast::server {

Queue queue_of(const Call& call);
Route queue_route(const char* method, const std::string& pattern, const char* name, const char* summary,
                  Scope scope, std::function<Response(Call&)> handler);
std::optional<std::chrono::milliseconds> milliseconds_of(const Fields& fields, const char* field);
std::string text_or_nothing(const Fields& fields, const char* field);
/// All but a delay and an instant.
SendOptions send_options_of(const Fields& fields);
std::vector<std::pair<std::string, Json>> send_option_members();
/// A 200 whose body is an object with this one member.
Answer one_member_answer(const char* description, const char* member, Json schema);
/// What deliveries and jobs have in common, but for the payload.
std::vector<std::pair<std::string, Json>> common_job_members();

}  // namespace holdfast::server
