#include <boost/asio/ssl/stream.hpp>
#include <boost/beast/websocket/ssl.hpp>

#include "server/http/connection.h"

namespace holdfast::server {

using TlsSocket = asio::ssl::stream<asio::ip::tcp::socket>;

template <>
struct StreamOperations<TlsSocket> {
  template <class F>
  static void handshake(TlsSocket& socket, F done) {
    socket.async_handshake(TlsSocket::server, std::move(done));
  }
  /// The peer answers a close_notify by its own, so that there is nothing left to discard after it.
  template <class F>
  static void shutdown(TlsSocket& socket, F done) {
    socket.async_shutdown([done = std::move(done)](boost::system::error_code error) {
      done(error ? error : asio::error::make_error_code(asio::error::eof));
    });
  }
  static void cancel(TlsSocket& socket) {
    boost::system::error_code ignored;
    socket.lowest_layer().cancel(ignored);
  }
  static void close(TlsSocket& socket) {
    boost::system::error_code ignored;
    socket.lowest_layer().close(ignored);
  }
  static bool has_gone(TlsSocket& socket) { return peer_has_gone(socket.lowest_layer().native_handle()); }
};

void start_tls_connection(Loop& loop, asio::ip::tcp::socket socket, std::string peer,
                          asio::ssl::context& tls) {
  std::make_shared<Connection<TlsSocket>>(loop, TlsSocket(std::move(socket), tls), std::move(peer))->start();
}

}  // namespace holdfast::server
