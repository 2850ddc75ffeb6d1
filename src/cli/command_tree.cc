#include "cli/command_tree.h"

#include <utility>

namespace holdfast::cli {

CommandTree command_tree() {
  CommandTree tree;
  tree.groups = {{"kv", "key-value pairs"},
                 {"records", "versioned documents"},
                 {"events", "event streams"},
                 {"blobs", "bytes of any size"},
                 {"tables", "tables of documents"},
                 {"tables dictionary", "short names that members of documents are stored under"},
                 {"queue", "job queues"},
                 {"queue settings", "what all processes go by that work with a queue"},
                 {"queue dead", "jobs that have used up their attempts"},
                 {"schedules", "jobs that are sent again and again"},
                 {"tasks", "work that task engines do"},
                 {"import", "data of other programs"},
                 {"db", "the entries of a database, and the databases of a store"}};
  for (auto commands :
       {kv_commands, records_commands, events_commands, blobs_commands, tables_commands, queue_commands,
        queue_admin_commands, schedules_commands, tasks_commands, import_commands, db_commands,
        db_store_commands, transfer_commands, serve_commands, bench_commands, completion_commands}) {
    for (Command& command : commands()) tree.commands.push_back(std::move(command));
  }
  return tree;
}

const std::vector<Argument>& shared_options() {
  using Kind = Argument::Kind;
  static const std::vector<Argument> kOptions = {
      {"--store", "the store's URL, or @FILE for a file that holds it [HOLDFAST_STORE]", Kind::text, "URL"},
      {"--db", "the database [HOLDFAST_DB]", Kind::text, "NAME"},
      {"--json", "print one JSON object per line", Kind::flag},
      {"--help", "print this help", Kind::flag},
  };
  return kOptions;
}

}  // namespace holdfast::cli
