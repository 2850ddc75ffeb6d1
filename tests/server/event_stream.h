// A client of Server-Sent Events.
#pragma once

#include <stdexcept>
#include <string>

#include "tests/server/client.h"

namespace holdfast::testing_support {

struct StreamEvent {
  std::string name;
  std::string id;
  nlohmann::json data;
};

class EventStream {
 public:
  EventStream(std::uint16_t port, const std::string& target, const HeaderList& headers = {})
      : connection_(port) {
    connection_.send(request_text("GET", target, "", headers));
    head_ = connection_.receive_until("\r\n\r\n");
  }
  const std::string& head() const { return head_; }

  StreamEvent next() {
    std::size_t end = 0;
    while ((end = text_.find("\n\n")) == std::string::npos) {
      const std::size_t size = std::stoul(connection_.receive_until("\r\n"), nullptr, 16);
      if (size == 0) throw std::runtime_error("the stream ended");
      text_ += connection_.receive_bytes(size);
      connection_.receive_bytes(2);
    }
    const std::string block = text_.substr(0, end + 1);
    text_.erase(0, end + 2);
    if (block.starts_with(":")) return next();
    const auto field = [&](const std::string& name) {
      const std::size_t at = block.find(name + ": ");
      if (at == std::string::npos) return std::string();
      const std::size_t begin = at + name.size() + 2;
      return block.substr(begin, block.find('\n', begin) - begin);
    };
    return {field("event"), field("id"), nlohmann::json::parse(field("data"))};
  }

  bool ends() {
    return connection_.receive_until("\r\n") == "0\r\n" && connection_.receive_until("\r\n") == "\r\n" &&
           connection_.is_closed_by_server();
  }

 private:
  HttpConnection connection_;
  std::string head_;
  std::string text_;
};

}  // namespace holdfast::testing_support
