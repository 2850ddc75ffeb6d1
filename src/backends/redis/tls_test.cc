// TLS: who the server is, and who we are.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

#include "backends/redis/test_server.h"
#include "holdfast/open.h"
#include "layers/test_client.h"
#include "tests/support/certificates.h"
#include "tests/support/code_of.h"

namespace holdfast::redis {
namespace {

using testing_support::Certificates;
using testing_support::code_of;

/// A server with TLS on a port of its own.
struct TlsServer {
  Certificates certificates;
  TestServer server;
  std::string port;

  TlsServer() {
    server.command({"CONFIG", "SET", "tls-cert-file", certificates.file("server.crt"), "tls-key-file",
                    certificates.file("server.key"), "tls-ca-cert-file", certificates.file("authority.crt"),
                    "tls-auth-clients", "optional"});
    for (int attempt = 0; attempt < 30 && port.empty(); ++attempt) {
      const std::string wanted = std::to_string(20'000 + (getpid() * 13 + attempt * 173) % 12'000);
      if (text_of(*server.command({"CONFIG", "SET", "tls-port", wanted})) == "OK") port = wanted;
    }
  }
  std::string url(const std::string& options) const { return "rediss://127.0.0.1:" + port + "?" + options; }
};

TEST(RedisTls, KeepsTheContractsPromises) {
  const TlsServer tls;
  const auto backend = open_backend(tls.url("tls_authorities=" + tls.certificates.file("authority.crt")));
  TestClient client(*backend, Environment{}.completed(), "db");
  const std::string large(1'000'000, 'v');
  EXPECT_FALSE(client.put("key", large).error);
  EXPECT_EQ(client.value("key"), large);
  const Cursor behind{"db", {0, 0}};
  EXPECT_EQ(backend->wait({&behind, 1}, client.soon()).size(), 1u);
}

TEST(RedisTls, RefusesAServerThatNoAuthorityKnows) {
  const TlsServer tls;
  EXPECT_EQ(code_of([&] { open_backend(tls.url("prefix=a:")); }), Code::permission_denied);
  EXPECT_NO_THROW(open_backend(tls.url("tls_verify=false")));
}

TEST(RedisTls, RefusesACertificateOfAnotherName) {
  const TlsServer tls;
  EXPECT_EQ(code_of([&] {
              open_backend("rediss://localhost:" + tls.port +
                           "?tls_authorities=" + tls.certificates.file("authority.crt"));
            }),
            Code::permission_denied);
}

TEST(RedisTls, ShowsACertificateOfItsOwn) {
  TlsServer tls;
  tls.server.command({"CONFIG", "SET", "tls-auth-clients", "yes"});
  const std::string authority = "tls_authorities=" + tls.certificates.file("authority.crt");
  EXPECT_THROW(open_backend(tls.url(authority)), Error);
  EXPECT_NO_THROW(open_backend(tls.url(authority + "&tls_certificate=" + tls.certificates.file("client.crt") +
                                       "&tls_key=" + tls.certificates.file("client.key"))));
  EXPECT_EQ(code_of([&] { open_backend(tls.url(authority + "&tls_certificate=/nowhere")); }),
            Code::permission_denied);
}

}  // namespace
}  // namespace holdfast::redis
