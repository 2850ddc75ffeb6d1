// How a request body gets from the thread that does the I/O to the thread that reads it: one piece at a time,
// and only when it was asked for.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <string>

#include "server/http/message.h"

namespace holdfast::server {

class BodyPipe final : public BodyReader {
 public:
  /// `ask` makes the I/O thread fetch the next piece.
  explicit BodyPipe(std::function<void()> ask) : ask_(std::move(ask)) {}

  Bytes read() override;

  /// By the I/O thread. An empty piece ends the body.
  void deliver(Bytes piece);
  void fail(Code code, std::string message);

 private:
  const std::function<void()> ask_;
  std::mutex mutex_;
  std::condition_variable came_;
  std::optional<Bytes> piece_;
  std::optional<Error> failure_;
  bool ended_ = false;
};

}  // namespace holdfast::server
