// SPDX-License-Identifier: Apache-2.0
// What a connection costs before a word is said: a bare TLS client.
#ifndef DUMPWARDEN_TESTS_SUPPORT_BARE_TLS_H_
#define DUMPWARDEN_TESTS_SUPPORT_BARE_TLS_H_

#include <openssl/ssl.h>

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace dumpwarden {

class BareTls {
 public:
  // A connection to host:port up to the server's first words, as a client of gRPC makes it (ALPN
  // h2).  The server's certificate is not looked at.
  absl::Status Handshake(const std::string& address) const {
    const std::unique_ptr<BIO, Freed> connection(BIO_new_ssl_connect(context_.get()));
    SSL* tls = nullptr;
    BIO_get_ssl(connection.get(), &tls);
    BIO_set_conn_hostname(connection.get(), address.c_str());
    constexpr unsigned char kH2[] = {2, 'h', '2'};
    if (tls == nullptr || SSL_set_alpn_protos(tls, kH2, sizeof kH2) != 0 ||
        BIO_do_handshake(connection.get()) != 1) {
      return absl::UnavailableError(absl::StrCat("no TLS handshake with ", address));
    }
    char settings[64];
    if (BIO_read(connection.get(), settings, sizeof settings) > 0) return absl::OkStatus();
    return absl::UnavailableError(absl::StrCat(address, " hung up"));
  }

 private:
  struct Freed {
    void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
    void operator()(BIO* connection) const { BIO_free_all(connection); }
  };
  const std::unique_ptr<SSL_CTX, Freed> context_{SSL_CTX_new(TLS_client_method())};
};

}  // namespace dumpwarden

#endif  // DUMPWARDEN_TESTS_SUPPORT_BARE_TLS_H_
