#include "backends/redis/tls.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <array>

namespace holdfast::redis {
namespace {

struct Free {
  void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
  void operator()(SSL* session) const { SSL_free(session); }
};
using Context = std::unique_ptr<SSL_CTX, Free>;
using Session = std::unique_ptr<SSL, Free>;

std::string reason() {
  const unsigned long code = ERR_get_error();
  ERR_clear_error();
  const char* text = code == 0 ? nullptr : ERR_reason_error_string(code);
  return text == nullptr ? "" : std::string(": ") + text;
}

[[noreturn]] void refuse(const Address& address, const std::string& what) {
  throw Error(Code::permission_denied, "TLS to the Redis server at " + address.text() + ": " + what);
}

Context make_context(const Address& address) {
  Context context(SSL_CTX_new(TLS_client_method()));
  if (!context) throw Error(Code::internal, "TLS cannot be set up" + reason());
  SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION);
  const bool knows_authorities =
      address.tls_authorities.empty()
          ? SSL_CTX_set_default_verify_paths(context.get()) == 1
          : SSL_CTX_load_verify_locations(context.get(), address.tls_authorities.c_str(), nullptr) == 1;
  if (!knows_authorities) refuse(address, "the file of tls_authorities cannot be used" + reason());
  if (!address.tls_certificate.empty() &&
      SSL_CTX_use_certificate_chain_file(context.get(), address.tls_certificate.c_str()) != 1) {
    refuse(address, "the file of tls_certificate cannot be used" + reason());
  }
  const std::string& key = address.tls_key.empty() ? address.tls_certificate : address.tls_key;
  if (!key.empty() && SSL_CTX_use_PrivateKey_file(context.get(), key.c_str(), SSL_FILETYPE_PEM) != 1) {
    refuse(address, "the file of tls_key cannot be used" + reason());
  }
  SSL_CTX_set_verify(context.get(), address.tls_verify ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, nullptr);
  return context;
}

/// OpenSSL works on memory, and we move the bytes: it would write to a broken socket without MSG_NOSIGNAL,
/// and knows no deadlines.
class TlsStream final : public Stream {
 public:
  TlsStream(std::unique_ptr<Stream> below, const Address& address, Deadline deadline)
      : below_(std::move(below)), address_(address), context_(make_context(address)) {
    session_.reset(SSL_new(context_.get()));
    if (!session_) throw Error(Code::internal, "TLS cannot be set up" + reason());
    SSL_set_bio(session_.get(), BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    SSL_set_connect_state(session_.get());
    X509_VERIFY_PARAM* verify = SSL_get0_param(session_.get());
    if (X509_VERIFY_PARAM_set1_ip_asc(verify, address.host.c_str()) != 1) {
      X509_VERIFY_PARAM_set1_host(verify, address.host.c_str(), address.host.size());
      SSL_set_tlsext_host_name(session_.get(), address.host.c_str());
    }
    run([&] { return SSL_do_handshake(session_.get()); }, deadline);
  }

  void send(View bytes, Deadline deadline) override {
    while (!bytes.empty()) {
      const int part = static_cast<int>(std::min<std::size_t>(bytes.size(), 1u << 20));
      const int sent = run([&] { return SSL_write(session_.get(), bytes.data(), part); }, deadline);
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
  }

  std::size_t receive(char* bytes, std::size_t most, Deadline deadline) override {
    const int part = static_cast<int>(std::min<std::size_t>(most, 1u << 20));
    return static_cast<std::size_t>(run([&] { return SSL_read(session_.get(), bytes, part); }, deadline));
  }

  bool has_buffered() const override {
    return SSL_has_pending(session_.get()) == 1 || BIO_pending(SSL_get_rbio(session_.get())) > 0;
  }
  bool is_stale() const override { return !has_buffered() && below_->is_stale(); }
  int descriptor() const override { return below_->descriptor(); }

 private:
  /// Runs an operation of OpenSSL until it is done, moving bytes as it asks for.
  template <class Operation>
  int run(Operation&& operation, Deadline deadline) {
    while (true) {
      ERR_clear_error();
      const int result = operation();
      const int state = result > 0 ? SSL_ERROR_NONE : SSL_get_error(session_.get(), result);
      flush(deadline);
      if (result > 0) return result;
      if (state == SSL_ERROR_WANT_READ) {
        fill(deadline);
      } else if (state == SSL_ERROR_ZERO_RETURN) {
        throw Error(Code::unavailable, "the Redis server at " + address_.text() + " closed the connection");
      } else if (state != SSL_ERROR_WANT_WRITE) {
        const long verified = SSL_get_verify_result(session_.get());
        if (verified != X509_V_OK) {
          refuse(address_,
                 std::string("its certificate is not accepted: ") + X509_verify_cert_error_string(verified));
        }
        refuse(address_, "it failed" + reason());
      }
    }
  }

  void flush(Deadline deadline) {
    BIO* out = SSL_get_wbio(session_.get());
    while (BIO_pending(out) > 0) {
      const int count = BIO_read(out, buffer_.data(), static_cast<int>(buffer_.size()));
      below_->send(View(buffer_.data(), static_cast<std::size_t>(count)), deadline);
    }
  }

  void fill(Deadline deadline) {
    const std::size_t count = below_->receive(buffer_.data(), buffer_.size(), deadline);
    BIO_write(SSL_get_rbio(session_.get()), buffer_.data(), static_cast<int>(count));
  }

  const std::unique_ptr<Stream> below_;
  const Address address_;
  const Context context_;
  Session session_;
  std::array<char, 16384> buffer_{};
};

}  // namespace

std::unique_ptr<Stream> secured(std::unique_ptr<Stream> below, const Address& address, Deadline deadline) {
  return std::make_unique<TlsStream>(std::move(below), address, deadline);
}

}  // namespace holdfast::redis
