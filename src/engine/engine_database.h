// What the engine knows of one database.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>

#include "engine/commit_queue.h"
#include "engine/session.h"
#include "engine/turn.h"
#include "holdfast/types.h"

namespace holdfast {

class Committer;

/// Thread-safe, except for session(), which belongs to whoever leads the lane, and commit_queue(), which the
/// committer guards.
class EngineDatabase {
 public:
  EngineDatabase(Bytes name, std::shared_ptr<Committer> committer)
      : name_(std::move(name)), committer_(std::move(committer)) {}

  const Bytes& name() const { return name_; }
  Committer& committer() { return *committer_; }
  Session& session() { return session_; }
  CommitQueue& commit_queue() { return commit_queue_; }
  /// Of transactions that lost too often to others of this process.
  Turn& turn() { return turn_; }

  /// The history that the newest answer had (0: no head), or nothing before the first answer.
  std::optional<std::uint64_t> history() const {
    if (!history_known_.load(std::memory_order_acquire)) return std::nullopt;
    return history_.load(std::memory_order_relaxed);
  }
  /// The history that was known last; 0 if none ever was.
  std::uint64_t last_history() const { return history_.load(std::memory_order_relaxed); }
  void learn_history(std::uint64_t history) {
    // Most answers bring nothing new; they leave the shared cache line alone.
    if (history_.load(std::memory_order_relaxed) != history) {
      history_.store(history, std::memory_order_relaxed);
    }
    if (!history_known_.load(std::memory_order_relaxed)) {
      history_known_.store(true, std::memory_order_release);
    }
  }
  /// The next commit reads first.
  void forget_history() { history_known_.store(false, std::memory_order_release); }

 private:
  const Bytes name_;
  const std::shared_ptr<Committer> committer_;
  std::atomic<std::uint64_t> history_{0};
  std::atomic<bool> history_known_{false};
  Session session_;
  CommitQueue commit_queue_;
  Turn turn_;
};

}  // namespace holdfast
