#include "server/http/connection.h"

namespace holdfast::server {

using PlainSocket = asio::ip::tcp::socket;

template <>
struct StreamOperations<PlainSocket> {
  template <class F>
  static void handshake(PlainSocket& socket, F done) {
    asio::post(socket.get_executor(), [done = std::move(done)] { done({}); });
  }
  template <class F>
  static void shutdown(PlainSocket& socket, F done) {
    boost::system::error_code error;
    socket.shutdown(PlainSocket::shutdown_send, error);
    done(error);
  }
  static void cancel(PlainSocket& socket) {
    boost::system::error_code ignored;
    socket.cancel(ignored);
  }
  static void close(PlainSocket& socket) {
    boost::system::error_code ignored;
    socket.close(ignored);
  }
  static bool has_gone(PlainSocket& socket) { return peer_has_gone(socket.native_handle()); }
};

void start_plain_connection(Loop& loop, PlainSocket socket, std::string peer) {
  std::make_shared<Connection<PlainSocket>>(loop, std::move(socket), std::move(peer))->start();
}

}  // namespace holdfast::server
