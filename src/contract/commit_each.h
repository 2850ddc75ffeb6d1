// Groups that have nothing to do with one another.
#pragma once

#include <span>

#include "holdfast/backend.h"
#include "holdfast/error.h"

namespace holdfast {

/// Backend::commit by one group after the other: what `commit_one` throws is the group's error.
template <class F>
void commit_each(std::span<Group> groups, F commit_one) {
  for (Group& group : groups) {
    group.outcomes.clear();
    group.error.reset();
    try {
      commit_one(group);
    } catch (const Error& error) {
      group.outcomes.clear();
      group.error = error;
    }
  }
}

}  // namespace holdfast
