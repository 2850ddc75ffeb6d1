// A client of WebSockets.
#pragma once

#include <string>
#include <utility>

#include "tests/server/client.h"

namespace holdfast::testing_support {

/// Enough of one to be told and to say goodbye.
class WebSocket {
 public:
  WebSocket(std::uint16_t port, const std::string& target, const HeaderList& more = {}) : connection_(port) {
    HeaderList headers = {{"Connection", "Upgrade"},
                          {"Upgrade", "websocket"},
                          {"Sec-WebSocket-Version", "13"},
                          {"Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="}};
    headers.insert(headers.end(), more.begin(), more.end());
    connection_.send(request_text("GET", target, "", headers));
    answer_ = connection_.receive();
  }
  const HttpAnswer& answer() const { return answer_; }

  /// The opcode and the payload of the next frame.
  std::pair<int, std::string> receive() {
    const std::string head = connection_.receive_bytes(2);
    std::size_t size = static_cast<unsigned char>(head[1]);
    const std::size_t more = size == 126 ? 2 : size == 127 ? 8 : 0;
    if (more != 0) {
      size = 0;
      for (const char c : connection_.receive_bytes(more)) size = size << 8 | static_cast<unsigned char>(c);
    }
    return {head[0] & 0x0f, connection_.receive_bytes(size)};
  }
  nlohmann::json receive_json() { return nlohmann::json::parse(receive().second); }

  void send(int opcode, const std::string& payload) {
    std::string frame;
    frame += static_cast<char>(0x80 | opcode);
    frame += static_cast<char>(0x80 | payload.size());
    frame += std::string(4, '\0');
    connection_.send(frame + payload);
  }
  void send_raw(const std::string& bytes) { connection_.send(bytes); }
  bool is_closed_by_server() { return connection_.is_closed_by_server(); }

 private:
  HttpConnection connection_;
  HttpAnswer answer_;
};

}  // namespace holdfast::testing_support
