#include "server/http/body_pipe.h"

#include <utility>

namespace holdfast::server {

Bytes BodyPipe::read() {
  std::unique_lock lock(mutex_);
  if (ended_) return {};
  if (!piece_ && !failure_) {
    lock.unlock();
    ask_();
    lock.lock();
    came_.wait(lock, [this] { return piece_ || failure_; });
  }
  if (failure_) throw Error(*failure_);
  Bytes piece = std::move(*piece_);
  piece_.reset();
  ended_ = piece.empty();
  return piece;
}

void BodyPipe::deliver(Bytes piece) {
  {
    const std::scoped_lock lock(mutex_);
    piece_ = std::move(piece);
  }
  came_.notify_all();
}

void BodyPipe::fail(Code code, std::string message) {
  {
    const std::scoped_lock lock(mutex_);
    if (!failure_) failure_.emplace(code, message);
  }
  came_.notify_all();
}

}  // namespace holdfast::server
