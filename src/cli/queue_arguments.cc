#include "cli/queue_arguments.h"

#include <limits>
#include <nlohmann/json.hpp>

#include "cli/exit.h"
#include "cli/payloads.h"

namespace holdfast::cli {

using Kind = Argument::Kind;
using std::chrono::milliseconds;

const Argument& queue_argument() {
  static const Argument kQueue{.name = "QUEUE", .help = "the queue's name", .required = true};
  return kQueue;
}

std::vector<Argument> with_queue_prefix(std::vector<Argument> arguments) {
  arguments.push_back({"--prefix", "where in the database the queues lie", Kind::text, "PREFIX", "queue"});
  return arguments;
}

Queue queue_of(Context& context, const Arguments& arguments) {
  return Queue(context.database(), arguments.text("QUEUE"),
               {.prefix = arguments.text("--prefix"), .clock = context.environment().clock});
}

std::vector<Argument> send_arguments() {
  return {
      {"--kind", "what sort of work it is, for whoever receives it", Kind::text, "KIND"},
      {"--priority", "0 to 9; a lower number is delivered first", Kind::number, "NUMBER", "5"},
      {"--ordering-key", "jobs of one key are delivered in their order, one at a time", Kind::text, "KEY"},
      {"--unique-key", "no job is made while another one of this key lives", Kind::text, "KEY"},
      {"--unique-for", "the unique key is taken for so long, whatever becomes of the job", Kind::duration},
      {"--unique-after-completion", "the unique key stays taken for so long after the job was completed",
       Kind::duration},
      {"--unique-after-death", "the unique key stays taken for so long after the job has died",
       Kind::duration},
      {"--tenant", "whom it is done for; tenants take turns", Kind::text, "NAME"}};
}

SendOptions send_options_of(const Arguments& arguments) {
  SendOptions options;
  options.kind = arguments.optional_text("--kind").value_or("");
  options.priority = static_cast<int>(std::min<std::uint64_t>(arguments.number("--priority"), 1'000));
  options.ordering_key = arguments.optional_text("--ordering-key").value_or("");
  options.unique_key = arguments.optional_text("--unique-key").value_or("");
  options.unique_for = milliseconds_of(arguments, "--unique-for");
  options.unique_after_completion = milliseconds_of(arguments, "--unique-after-completion");
  options.unique_after_death = milliseconds_of(arguments, "--unique-after-death");
  options.tenant = arguments.optional_text("--tenant").value_or("");
  return options;
}

std::optional<milliseconds> milliseconds_of(const Arguments& arguments, const std::string& name) {
  const std::optional<std::int64_t> found_ms = arguments.optional_duration_ms(name);
  if (!found_ms) return std::nullopt;
  return milliseconds(*found_ms);
}

std::optional<milliseconds> milliseconds_or_zero(const Arguments& arguments, const std::string& name) {
  const std::optional<std::string> text = arguments.optional_text(name);
  if (!text) return std::nullopt;
  return milliseconds(*text == "0" ? 0 : parse_duration_ms(*text, name));
}

std::uint32_t small_number_of(const Arguments& arguments, const std::string& name) {
  const std::uint64_t number = arguments.number(name);
  if (number > std::numeric_limits<std::uint32_t>::max()) throw UsageError(name + " is too large");
  return static_cast<std::uint32_t>(number);
}

std::vector<std::string> names_of(const NamedCells& row) {
  std::vector<std::string> names;
  for (const auto& [name, cell] : row) names.push_back(name);
  return names;
}

std::vector<Cell> cells_of(NamedCells row) {
  std::vector<Cell> cells;
  for (auto& [name, cell] : row) cells.push_back(std::move(cell));
  return cells;
}

Cell text_or_none(const Bytes& text) { return text.empty() ? Cell::none() : Cell::text(text); }

Cell ids_cell(const std::vector<JobId>& ids) {
  return ids.empty() ? Cell::none() : Cell::json(nlohmann::json(ids).dump());
}

NamedCells job_cells(const Job& job, bool all) {
  NamedCells row = {{"id", Cell::text(job.id)},
                    {"state", Cell::text(name(job.state))},
                    {"kind", text_or_none(job.kind)},
                    {"priority", Cell::number(std::int64_t{job.priority})},
                    {"attempts", Cell::number(std::uint64_t{job.attempts})},
                    {"sent_at_ms", Cell::time(job.sent_at_ms)},
                    {"run_at_ms", Cell::time(job.run_at_ms)}};
  const bool is_dead = job.state == JobState::dead;
  const bool is_finished = is_dead || job.state == JobState::completed;
  if (all || is_finished) {
    row.emplace_back("finished_at_ms", is_finished ? Cell::time(job.finished_at_ms) : Cell::none());
  }
  if (all || is_dead) row.emplace_back("reason", text_or_none(job.reason));
  row.emplace_back("tenant", text_or_none(job.tenant));
  if (all || job.state == JobState::blocked) row.emplace_back("waits_for", ids_cell(job.waits_for));
  if (all) {
    using Json = nlohmann::json;
    Json errors = Json::array();
    for (const JobError& error : job.errors) {
      errors.push_back({{"attempt", error.attempt}, {"at_ms", error.at_ms}, {"text", error.text}});
    }
    Json log = Json::array();
    for (const JobLogLine& line : job.log) log.push_back({{"at_ms", line.at_ms}, {"text", line.text}});
    const auto text_of = [](const Json& json) {
      return Cell::json(json.dump(-1, ' ', false, Json::error_handler_t::replace));
    };
    row.emplace_back("ordering_key", text_or_none(job.ordering_key));
    row.emplace_back("unique_key", text_or_none(job.unique_key));
    row.emplace_back("parent", text_or_none(job.parent));
    row.emplace_back("children", ids_cell(job.children));
    row.emplace_back("child_failure",
                     job.children.empty() ? Cell::none() : Cell::text(name(job.child_failure)));
    row.emplace_back("errors", text_of(errors));
    row.emplace_back("progress", job.progress ? Cell::real(*job.progress, 4) : Cell::none());
    row.emplace_back("log", text_of(log));
    row.emplace_back("result", job.result ? payload_cell(*job.result) : Cell::none());
  }
  row.emplace_back("body", payload_cell(job.body));
  return row;
}

}  // namespace holdfast::cli
