// TLS: who the server is, and who we are.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

#include "backends/redis/test_server.h"
#include "holdfast/open.h"
#include "layers/test_client.h"
#include "tests/support/code_of.h"

namespace holdfast::redis {
namespace {

using testing_support::code_of;

/// An authority of our own, a certificate for 127.0.0.1, and one for a client.
class Certificates {
 public:
  Certificates() {
    std::string pattern = (std::filesystem::temp_directory_path() / "holdfast_tls_XXXXXX").string();
    if (mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("no folder for certificates");
    folder_ = pattern;
    run("req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=authority "
        "-keyout " +
        file("authority.key") + " -out " + file("authority.crt"));
    for (const char* name : {"server", "client"}) {
      run("req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=" + std::string(name) +
          " -addext subjectAltName=IP:127.0.0.1 -keyout " + file(name + std::string(".key")) + " -out " +
          file("request"));
      run("x509 -req -copy_extensions copy -days 2 -CAcreateserial -in " + file("request") + " -CA " +
          file("authority.crt") + " -CAkey " + file("authority.key") + " -out " +
          file(name + std::string(".crt")));
    }
  }
  ~Certificates() {
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }
  Certificates(const Certificates&) = delete;
  Certificates& operator=(const Certificates&) = delete;
  std::string file(const std::string& name) const { return folder_ + "/" + name; }

 private:
  static void run(const std::string& arguments) {
    const std::string command = "openssl " + arguments + " >/dev/null 2>&1";
    if (std::system(command.c_str()) != 0) throw std::runtime_error("openssl does not work: " + arguments);
  }
  std::string folder_;
};

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
