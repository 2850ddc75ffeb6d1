// What a handle on tasks stands for.
#pragma once

#include "holdfast/tasks.h"
#include "services/requirements.h"
#include "services/tasks_moves.h"

namespace holdfast {

class Tasks::Impl {
 public:
  Impl(Database in, const TasksOptions& options)
      : database(std::move(in)),
        moves(TaskKeys(options.prefix), options.random ? options.random : system_random()) {
    require_one_history(database, "tasks");
  }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  const TaskKeys& keys() const { return moves.keys(); }
  std::optional<TaskId> add(View type, const NewTask& task, const TaskExtra& extra, View added_by,
                            Deadline deadline);
  std::vector<TaskSession> sessions() const;

  Database database;
  const TaskMoves moves;
};

}  // namespace holdfast
