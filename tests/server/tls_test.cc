// TLS over a real socket, with a certificate made for the test.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <sys/socket.h>
#include <unistd.h>

#include <fstream>
#include <vector>

#include "support/targets.h"
#include "tests/server/client.h"

namespace holdfast::testing_support {
namespace {

template <class Write>
void write_pem(const std::string& path, Write write) {
  BIO* memory = BIO_new(BIO_s_mem());
  write(memory);
  char* data = nullptr;
  const long size = BIO_get_mem_data(memory, &data);
  std::ofstream(path) << std::string(data, static_cast<std::size_t>(size));
  BIO_free(memory);
}

/// A key, and a certificate for it by itself.
void make_certificate(const std::string& folder, const std::string& name) {
  EVP_PKEY* key = EVP_EC_gen("P-256");
  X509* certificate = X509_new();
  ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
  X509_gmtime_adj(X509_getm_notBefore(certificate), -3'600);
  X509_gmtime_adj(X509_getm_notAfter(certificate), 3'600);
  X509_set_pubkey(certificate, key);
  X509_NAME* subject = X509_get_subject_name(certificate);
  X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, reinterpret_cast<const unsigned char*>("localhost"),
                             -1, -1, 0);
  X509_set_issuer_name(certificate, subject);
  X509_sign(certificate, key, EVP_sha256());
  write_pem(folder + "/" + name + ".crt", [&](BIO* out) { PEM_write_bio_X509(out, certificate); });
  write_pem(folder + "/" + name + ".key",
            [&](BIO* out) { PEM_write_bio_PrivateKey(out, key, nullptr, nullptr, 0, nullptr, nullptr); });
  X509_free(certificate);
  EVP_PKEY_free(key);
}

class TlsClient {
 public:
  explicit TlsClient(std::uint16_t port, int highest_version = 0) {
    context_ = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_verify(context_, SSL_VERIFY_NONE, nullptr);
    if (highest_version != 0) {
      SSL_CTX_set_security_level(context_, 0);
      SSL_CTX_set_max_proto_version(context_, highest_version);
    }
    socket_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const timeval timeout{20, 0};
    ::setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    is_connected_ = ::connect(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
    ssl_ = SSL_new(context_);
    SSL_set_fd(ssl_, socket_);
    is_connected_ = is_connected_ && SSL_connect(ssl_) == 1;
  }
  ~TlsClient() {
    SSL_free(ssl_);
    SSL_CTX_free(context_);
    ::close(socket_);
  }
  TlsClient(const TlsClient&) = delete;
  TlsClient& operator=(const TlsClient&) = delete;

  bool is_connected() const { return is_connected_; }
  void send(const std::string& text) { SSL_write(ssl_, text.data(), static_cast<int>(text.size())); }
  /// Everything up to the end of the stream; `is_whole` says whether TLS ended it, and not the network.
  std::string receive_all(bool& is_whole) {
    std::string text;
    std::vector<char> space(65'536);
    while (true) {
      const int size = SSL_read(ssl_, space.data(), static_cast<int>(space.size()));
      if (size <= 0) {
        is_whole = SSL_get_error(ssl_, size) == SSL_ERROR_ZERO_RETURN;
        return text;
      }
      text.append(space.data(), static_cast<std::size_t>(size));
    }
  }

 private:
  SSL_CTX* context_ = nullptr;
  SSL* ssl_ = nullptr;
  int socket_ = -1;
  bool is_connected_ = false;
};

class Tls : public testing::Test {
 protected:
  Tls() {
    make_certificate(folder_.path(), "server");
    config_.tls_certificate_file = folder_.path() + "/server.crt";
    config_.tls_key_file = folder_.path() + "/server.key";
  }
  TemporaryFolder folder_;
  server::ServerConfig config_;
};

TEST_F(Tls, CarriesRequestsAndEndsWithAGoodbye) {
  TestServer server("memory:", config_);
  const std::string value(600'000, 'v');
  server.store().database("db").put("key", value);
  TlsClient client(server.port());
  ASSERT_TRUE(client.is_connected());
  client.send(request_text("PUT", "/v1/databases/db/entries/other", "hello"));
  client.send(request_text("GET", "/v1/databases/db/entries/key", "", {{"Connection", "close"}}));
  bool is_whole = false;
  const std::string text = client.receive_all(is_whole);
  EXPECT_TRUE(is_whole);
  EXPECT_TRUE(text.starts_with("HTTP/1.1 200 OK")) << text.substr(0, 200);
  EXPECT_TRUE(text.ends_with("\r\n\r\n" + value));
  EXPECT_EQ(server.store().database("db").get("other")->value, "hello");
}

TEST_F(Tls, IsWantedOfEveryClient) {
  config_.limits.request_timeout = std::chrono::milliseconds(300);
  TestServer server("memory:", config_);
  HttpConnection plain(server.port());
  plain.send(request_text("GET", "/healthz"));
  EXPECT_THROW(plain.receive(), std::runtime_error);
  HttpConnection silent(server.port());
  EXPECT_TRUE(silent.is_closed_by_server()) << "a handshake has its time too";
  EXPECT_FALSE(TlsClient(server.port(), TLS1_1_VERSION).is_connected());
  EXPECT_TRUE(TlsClient(server.port(), TLS1_2_VERSION).is_connected());
}

TEST_F(Tls, RefusesAKeyThatDoesNotFit) {
  make_certificate(folder_.path(), "other");
  config_.tls_key_file = folder_.path() + "/other.key";
  EXPECT_THROW(TestServer("memory:", config_), Error);
  config_.tls_key_file = folder_.path() + "/none.key";
  EXPECT_THROW(TestServer("memory:", config_), Error);
}

}  // namespace
}  // namespace holdfast::testing_support
