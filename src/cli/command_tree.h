// All commands of the program. Each group has a file of its own.
#pragma once

#include <vector>

#include "cli/command.h"

namespace holdfast::cli {

CommandTree command_tree();

/// Options that every command takes: --store, --db, --json, --help.
const std::vector<Argument>& shared_options();

std::vector<Command> db_commands();
std::vector<Command> db_store_commands();
std::vector<Command> kv_commands();
std::vector<Command> records_commands();
std::vector<Command> events_commands();
std::vector<Command> blobs_commands();
std::vector<Command> tables_commands();
std::vector<Command> queue_commands();
std::vector<Command> queue_admin_commands();
std::vector<Command> schedules_commands();
std::vector<Command> tasks_commands();
std::vector<Command> import_commands();
std::vector<Command> transfer_commands();
std::vector<Command> serve_commands();
std::vector<Command> bench_commands();
std::vector<Command> completion_commands();

}  // namespace holdfast::cli
