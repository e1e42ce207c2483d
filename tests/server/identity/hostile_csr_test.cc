// SPDX-License-Identifier: Apache-2.0
// Certificate requests and names that want more than they should: what is
// issued holds none of it, or nothing is issued and the token stays good.
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <map>
#include <set>
#include <utility>

#include "absl/strings/escaping.h"
#include "tests/support/enrollment_rig.h"

namespace dumpwarden {
namespace {

using testing::HasSubstr;

struct Wish {
  const char* name;   // of an extension, as OpenSSL's configuration spells it
  std::string value;  // the same
};

// A request as a stranger would write it, which MakeCsrDer cannot.
class Request {
 public:
  explicit Request(EVP_PKEY& holds) : request_(X509_REQ_new()) {
    X509_REQ_set_version(request_, X509_REQ_VERSION_1);
    X509_REQ_set_pubkey(request_, &holds);
  }
  ~Request() { X509_REQ_free(request_); }
  Request(const Request&) = delete;
  Request& operator=(const Request&) = delete;

  Request& Named(const std::string& common_name) {
    EXPECT_EQ(X509_NAME_add_entry_by_NID(X509_REQ_get_subject_name(request_), NID_commonName,
                                         V_ASN1_UTF8STRING,
                                         reinterpret_cast<const unsigned char*>(common_name.data()),
                                         static_cast<int>(common_name.size()), -1, 0),
              1);
    return *this;
  }
  Request& Wants(const std::vector<Wish>& wishes) {
    STACK_OF(X509_EXTENSION)* extensions = sk_X509_EXTENSION_new_null();
    X509V3_CTX context{};
    X509V3_set_ctx(&context, nullptr, nullptr, request_, nullptr, 0);
    for (const Wish& wish : wishes) {
      X509_EXTENSION* made = X509V3_EXT_conf(nullptr, &context, wish.name, wish.value.c_str());
      EXPECT_NE(made, nullptr) << wish.name << " = " << wish.value;
      sk_X509_EXTENSION_push(extensions, made);
    }
    EXPECT_EQ(X509_REQ_add_extensions(request_, extensions), 1);
    sk_X509_EXTENSION_pop_free(extensions, &X509_EXTENSION_free);
    return *this;
  }
  std::string SignedBy(EVP_PKEY& key) {
    const bool digests = EVP_PKEY_is_a(&key, "ED25519") == 0;
    EXPECT_GT(X509_REQ_sign(request_, &key, digests ? EVP_sha256() : nullptr), 0);
    unsigned char* der = nullptr;
    const int size = i2d_X509_REQ(request_, &der);
    std::string bytes(reinterpret_cast<char*>(der), static_cast<std::size_t>(size));
    OPENSSL_free(der);
    return bytes;
  }

 private:
  X509_REQ* request_;
};

std::string Hex(const ASN1_OCTET_STRING* octets) {
  return octets == nullptr
             ? "none"
             : Sha256Hex({reinterpret_cast<const char*>(ASN1_STRING_get0_data(octets)),
                          static_cast<std::size_t>(ASN1_STRING_length(octets))});
}

std::string ValueOf(X509_EXTENSION* extension) {
  BIO* bio = BIO_new(BIO_s_mem());
  X509V3_EXT_print(bio, extension, X509V3_EXT_DUMP_UNKNOWN, 0);
  char* text = nullptr;
  const long size = BIO_get_mem_data(bio, &text);
  std::string value(text, static_cast<std::size_t>(size));
  BIO_free(bio);
  return absl::StrCat(X509_EXTENSION_get_critical(extension) == 1 ? "critical " : "", value);
}

// Every extension, by its number.
std::map<std::string, std::string> ExtensionsOf(const X509& certificate) {
  std::map<std::string, std::string> all;
  for (int i = 0; i < X509_get_ext_count(&certificate); ++i) {
    X509_EXTENSION* extension = X509_get_ext(&certificate, i);
    char number[80] = {};
    OBJ_obj2txt(number, sizeof(number), X509_EXTENSION_get_object(extension), 1);
    EXPECT_TRUE(all.emplace(number, ValueOf(extension)).second) << number << " is there twice";
  }
  return all;
}

std::string KeyIdOf(const std::string& spki_of) {
  const CertificatePtr certificate = *ReadCertificateDer(spki_of);
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  X509_pubkey_digest(certificate.get(), EVP_sha1(), digest, &size);
  return Sha256Hex({reinterpret_cast<const char*>(digest), size});
}

class HostileCsr : public EnrollmentRig {
 protected:
  // The whole certificate against what a host's says, whatever its request wished for.
  void ExpectPlain(const v1::EnrollResponse& answer, const EVP_PKEY& key) {
    ASSERT_EQ(answer.chain_size(), 2);
    const CertificatePtr leaf = *ReadCertificateDer(answer.chain(0));
    std::map<std::string, std::string> found = ExtensionsOf(*leaf);
    EXPECT_EQ(found.erase("2.5.29.14"), 1u) << "the subject's key identifier";
    EXPECT_EQ(found.erase("2.5.29.35"), 1u) << "the authority's key identifier";
    const std::map<std::string, std::string> expected = {
        {"2.5.29.15", "critical Digital Signature"},
        {"2.5.29.17", absl::StrCat("critical URI:spiffe://corp.example/host/", answer.host_id())},
        {"2.5.29.19", "critical CA:FALSE"},
        {"2.5.29.37", "TLS Web Client Authentication"},
    };
    EXPECT_EQ(found, expected);
    EXPECT_EQ(Hex(X509_get0_subject_key_id(leaf.get())), KeyIdOf(answer.chain(0)));
    EXPECT_EQ(Hex(X509_get0_authority_key_id(leaf.get())), KeyIdOf(answer.chain(1)));
    EXPECT_EQ(X509_NAME_entry_count(X509_get_subject_name(leaf.get())), 0);
    EXPECT_EQ(X509_get_version(leaf.get()), X509_VERSION_3);
    EXPECT_EQ(X509_get_signature_nid(leaf.get()), NID_ecdsa_with_SHA256);
    EXPECT_EQ(*CertificateKeyDer(*leaf), *PublicKeyDer(key));
    const CertificateSummary summary = *Summarize(*leaf);
    EXPECT_EQ(summary.issuer, "Dumpwarden clients");
    EXPECT_EQ(summary.not_after, clock_.Now() + kLeafLife);
  }

  void ExpectRefused(const std::string& why, const std::string& csr, const std::string& message) {
    SCOPED_TRACE(why);
    const std::size_t hosts = Hosts();
    const std::string token = Token();
    EXPECT_THAT(Enroll(EnrollRequestOf(token, "web-01", csr)),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(message)));
    EXPECT_EQ(Hosts(), hosts);
    EXPECT_THAT(std::exchange(refused_, {}), testing::ElementsAre("keys")) << "counted once";
    EXPECT_THAT(Enroll(EnrollRequestOf(token, "web-01", *MakeCsrDer(*key_))), IsOk())
        << "it used the token up";
  }

  const KeyPtr key_ = *MakeKey();
};

TEST_F(HostileCsr, T33CertificateHoldsNothingOfWhatTheRequestWishes) {
  const std::string wide(6'000, 'a');
  const struct {
    const char* why;
    std::vector<Wish> wishes;
  } cases[] = {
      {"the server's DNS name", {{"subjectAltName", "DNS:dw.corp.example"}}},
      {"an operator", {{"subjectAltName", "URI:spiffe://corp.example/operator/admin"}}},
      {"another host",
       {{"subjectAltName", "URI:spiffe://corp.example/host/00000000-0000-4000-8000-000000000001"}}},
      {"the trust domain itself", {{"subjectAltName", "URI:spiffe://corp.example"}}},
      {"addresses", {{"subjectAltName", "IP:127.0.0.1,IP:::1,email:a@corp.example"}}},
      {"another name form", {{"subjectAltName", "otherName:1.3.6.1.4.1.311.20.2.3;UTF8:alice"}}},
      {"to be an authority", {{"basicConstraints", "critical,CA:TRUE,pathlen:9"}}},
      {"to sign certificates", {{"keyUsage", "critical,keyCertSign,cRLSign"}}},
      {"to be a server", {{"extendedKeyUsage", "serverAuth"}}},
      {"to be anything", {{"extendedKeyUsage", "anyExtendedKeyUsage,codeSigning,OCSPSigning"}}},
      {"another key's identifier", {{"subjectKeyIdentifier", "00:11:22"}}},
      {"constraints", {{"nameConstraints", "critical,permitted;DNS:corp.example"}}},
      {"a policy", {{"certificatePolicies", "DER:300830060604551d2000"}}},
      {"never to be checked", {{"noCheck", "ignored"}}},
      {"labels of its own", {{"1.3.6.1.4.1.99999.1", "critical,DER:0c08726f6c653d73716c"}}},
      {"a lot", {{"nsComment", wide}}},
      {"the same twice",
       {{"subjectAltName", "DNS:a.example"}, {"subjectAltName", "DNS:b.example"}}},
      {"all of a server's authority",
       {{"basicConstraints", "critical,CA:TRUE"},
        {"keyUsage", "critical,keyCertSign"},
        {"extendedKeyUsage", "serverAuth,clientAuth"},
        {"subjectAltName", "DNS:dw.corp.example,URI:spiffe://corp.example/operator/admin"}}},
  };
  for (const auto& test : cases) {
    SCOPED_TRACE(test.why);
    ASSERT_OK_AND_ASSIGN(
        const v1::EnrollResponse answer,
        Enroll(
            EnrollRequestOf(Token(), "web-01", Request(*key_).Wants(test.wishes).SignedBy(*key_))));
    ExpectPlain(answer, *key_);
  }
}

TEST_F(HostileCsr, T33SubjectOfTheRequestIsNobody) {
  const std::string names[] = {"operator/admin",
                               "Dumpwarden clients",
                               "dw.corp.example",
                               "WEB-01.",
                               std::string("web-01\0.evil", 12),
                               "wеb-01",  // Cyrillic е
                               "URI:spiffe://corp.example/operator/admin"};
  std::set<std::string> ids;
  for (const std::string& name : names) {
    SCOPED_TRACE(name);
    ASSERT_OK_AND_ASSIGN(
        const v1::EnrollResponse answer,
        Enroll(EnrollRequestOf(Token(), "web-01", Request(*key_).Named(name).SignedBy(*key_))));
    ExpectPlain(answer, *key_);
    EXPECT_TRUE(ids.insert(answer.host_id()).second);
  }
}

// A key of so many bits that to use it would be work for us; nobody needs to have it.
KeyPtr RsaOf(std::size_t bits, bool large_exponent) {
  std::string modulus(bits / 8, '\xff');
  BIGNUM* n = BN_bin2bn(reinterpret_cast<const unsigned char*>(modulus.data()),
                        static_cast<int>(modulus.size()), nullptr);
  BIGNUM* e = large_exponent ? BN_dup(n) : BN_new();
  if (!large_exponent) BN_set_word(e, 65537);
  OSSL_PARAM_BLD* builder = OSSL_PARAM_BLD_new();
  OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_N, n);
  OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_E, e);
  OSSL_PARAM* parameters = OSSL_PARAM_BLD_to_param(builder);
  EVP_PKEY_CTX* context = EVP_PKEY_CTX_new_from_name(nullptr, "RSA", nullptr);
  EVP_PKEY* key = nullptr;
  EVP_PKEY_fromdata_init(context);
  EVP_PKEY_fromdata(context, &key, EVP_PKEY_PUBLIC_KEY, parameters);
  EVP_PKEY_CTX_free(context);
  OSSL_PARAM_free(parameters);
  OSSL_PARAM_BLD_free(builder);
  BN_free(n);
  BN_free(e);
  return KeyPtr(key);
}

void Spell(EVP_PKEY& key, const char* point) {
  EXPECT_EQ(EVP_PKEY_set_utf8_string_param(&key, OSSL_PKEY_PARAM_EC_POINT_CONVERSION_FORMAT, point),
            1);
}

KeyPtr ExplicitKey() {
  EVP_PKEY_CTX* context = EVP_PKEY_CTX_new_from_name(nullptr, "EC", nullptr);
  EVP_PKEY_keygen_init(context);
  EVP_PKEY_CTX_set_group_name(context, "prime256v1");
  char encoding[] = "explicit";
  OSSL_PARAM parameters[] = {
      OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_EC_ENCODING, encoding, 0),
      OSSL_PARAM_construct_end()};
  EVP_PKEY_CTX_set_params(context, parameters);
  EVP_PKEY* key = nullptr;
  EVP_PKEY_generate(context, &key);
  EVP_PKEY_CTX_free(context);
  return KeyPtr(key);
}

TEST_F(HostileCsr, T33KeysThatAreNotOnP256AreRefused) {
  const struct {
    const char* why;
    KeyPtr key;
  } cases[] = {
      {"tiny RSA", KeyPtr(EVP_RSA_gen(512))},
      {"RSA as others use it", KeyPtr(EVP_RSA_gen(2048))},
      {"another curve", KeyPtr(EVP_EC_gen("P-384"))},
      {"a short curve", KeyPtr(EVP_EC_gen("secp112r1"))},
      {"a curve as long", KeyPtr(EVP_EC_gen("secp256k1"))},
      {"another curve as long", KeyPtr(EVP_EC_gen("brainpoolP256r1"))},
      {"a curve over a binary field", KeyPtr(EVP_EC_gen("sect163k1"))},
      {"Ed25519", KeyPtr(EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519"))},
      {"P-256 with its parameters spelled out", ExplicitKey()},
  };
  for (const auto& test : cases) {
    ASSERT_NE(test.key, nullptr) << test.why;
    ExpectRefused(test.why, Request(*test.key).SignedBy(*test.key), "P-256 (prime256v1)");
  }
  for (const bool large_exponent : {false, true}) {
    const KeyPtr huge = RsaOf(16'384, large_exponent);
    ASSERT_NE(huge, nullptr);
    ExpectRefused("huge RSA", Request(*huge).SignedBy(*key_), "P-256 (prime256v1)");
  }
}

// One key has one spelling: with two, a host's TLS key could be its host key unseen.
TEST_F(HostileCsr, T33KeyWithACompressedPointIsRefused) {
  const KeyPtr compressed = *MakeKey();
  Spell(*compressed, "compressed");
  ExpectRefused("compressed", Request(*compressed).SignedBy(*compressed), "uncompressed point");
}

TEST_F(HostileCsr, T33TlsKeyIsNotTheHostKeyHoweverItIsSpelled) {
  for (const char* spelling : {"uncompressed", "compressed"}) {
    SCOPED_TRACE(spelling);
    const std::string token = Token();
    Spell(*key_, spelling);
    const std::string csr = Request(*key_).SignedBy(*key_);
    Spell(*key_, "uncompressed");
    v1::EnrollRequest request = EnrollRequestOf(token, "web-01", csr);
    request.set_host_key(*PublicKeyDer(*key_));
    request.set_host_key_proof(*Sign(*key_, absl::StrCat(std::string("dumpwarden-enroll-v1\0", 21),
                                                         Sha256(csr), Sha256(token))));
    EXPECT_THAT(Enroll(request), StatusIs(absl::StatusCode::kInvalidArgument, testing::_));
    EXPECT_EQ(Hosts(), 0u);
  }
}

TEST_F(HostileCsr, T33RequestsWithoutProofOrTooLongAreRefused) {
  const KeyPtr other = *MakeKey();
  const std::string good = Request(*key_).SignedBy(*key_);
  std::string broken = good;
  broken.back() = static_cast<char>(broken.back() ^ 1);
  ExpectRefused("signed by another key", Request(*key_).SignedBy(*other), "was not signed by");
  ExpectRefused("a signature with one bit changed", broken, "was not signed by");
  ExpectRefused("bytes behind it", good + std::string(1, '\0'), "bytes after");
  ExpectRefused("cut short", good.substr(0, good.size() / 2), "cannot read");
  ExpectRefused("nothing", "", "cannot read");
  ExpectRefused("PEM", "-----BEGIN CERTIFICATE REQUEST-----\n", "cannot read");
  ExpectRefused("huge",
                Request(*key_).Wants({{"nsComment", std::string(60'000, 'x')}}).SignedBy(*key_),
                "8 KiB");
}

TEST_F(HostileCsr, T33RequestOfEightKibibytesIsTheLongest) {
  const auto sized = [&](std::size_t comment) {
    return Request(*key_).Wants({{"nsComment", std::string(comment, 'x')}}).SignedBy(*key_);
  };
  std::size_t comment = 7'900;
  std::string csr = sized(comment);
  while (csr.size() != 8 * 1024) csr = sized(csr.size() < 8 * 1024 ? ++comment : --comment);
  EXPECT_THAT(Enroll(EnrollRequestOf(Token(), "web-01", csr)), IsOk());
  std::string longer = sized(comment + 1);
  while (longer.size() != 8 * 1024 + 1) longer = sized(comment + 1);  // signatures differ in length
  ExpectRefused("one byte more", longer, "8 KiB");
}

// The name is a label for people: hosts are told apart by their ids.
TEST_F(HostileCsr, T33NamesThatLookAlikeAreOtherHosts) {
  const std::string names[] = {"web-01",  "WEB-01",
                               "web-01.", ".web-01",
                               "web-01 ",
                               "wеb-01",             // Cyrillic е
                               "wéb-01",  "wéb-01",  // one character, and two
                               "ｗeb-01", std::string(253, 'a')};
  std::set<std::string> ids;
  for (const std::string& name : names) {
    SCOPED_TRACE(name);
    ASSERT_OK_AND_ASSIGN(const v1::EnrollResponse answer,
                         Enroll(EnrollRequestOf(Token(), name, *MakeCsrDer(*key_))));
    ASSERT_OK_AND_ASSIGN(const HostRow row, store_->FindHost(answer.host_id()));
    EXPECT_EQ(row.name, name) << "kept as it was given";
    EXPECT_TRUE(ids.insert(answer.host_id()).second);
  }
  EXPECT_EQ(Hosts(), std::size(names));
}

TEST_F(HostileCsr, T33NamesThatAreNoTextAreRefused) {
  const std::string names[] = {"",
                               std::string(254, 'a'),
                               std::string("web-01\0", 7),
                               std::string("web-01\0.evil", 12),
                               "web-01\n",
                               "web\x1b[2J",
                               "web-01\x7f",
                               "web-01\xc2\x85",      // C1: next line
                               "web\xe2\x80\xae-01",  // right-to-left override
                               "web-\xff",
                               "web-\xed\xa0\x80",  // half of a surrogate pair
                               "web-\xc0\xaf"};     // a slash, spelled too long
  for (const std::string& name : names) {
    SCOPED_TRACE(absl::CHexEscape(name));
    const std::string token = Token();
    EXPECT_THAT(
        Enroll(EnrollRequestOf(token, name, *MakeCsrDer(*key_))),
        StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("1 to 253 printable characters")));
    EXPECT_EQ(Hosts(), 0u);
  }
}

TEST_F(HostileCsr, T33EveryRefusalIsCountedOrHasItsRow) {
  const auto refusals = [&](const v1::EnrollRequest& request) {
    EXPECT_FALSE(enrollment_->Enroll(request, "ipv4:192.0.2.7:1", "x").ok());
    v1::ListAuditRequest rows;
    rows.set_action("host.enroll.refused");
    return std::pair(std::exchange(refused_, {}), store_->ListAudit(rows)->size());
  };
  using Words = std::vector<std::string>;
  const std::string csr = *MakeCsrDer(*key_);
  EXPECT_EQ(refusals(EnrollRequestOf("rubbish", "web-01", csr)), std::pair(Words{"token"}, 0ul));
  const std::string used = Token();
  ASSERT_THAT(Enroll(EnrollRequestOf(used, "web-01", csr)), IsOk());
  for (std::size_t rows = 1; rows <= 4; ++rows) {
    EXPECT_EQ(refusals(EnrollRequestOf(used, "web-01", csr)), std::pair(Words{}, rows));
  }
  EXPECT_EQ(refusals(EnrollRequestOf(used, "web-01", csr)), std::pair(Words{"too-many"}, 4ul));
}

// Windows names ignore the case of ASCII, and nothing else.
TEST_F(HostileCsr, T33TokenForAHostIsForNoNameThatLooksLikeIt) {
  const struct {
    const char* name;
    bool accepted;
  } cases[] = {{"web-01", true},  {"WEB-01", true},  {"web-01.", false}, {" web-01", false},
               {"wеb-01", false}, {"web-0l", false}, {"web-011", false}, {"web-0", false}};
  for (const auto& test : cases) {
    SCOPED_TRACE(test.name);
    v1::CreateTokenRequest wish;
    wish.set_expected_name("web-01");
    const auto answer = Enroll(EnrollRequestOf(Token(wish), test.name, *MakeCsrDer(*key_)));
    EXPECT_EQ(answer.ok(), test.accepted) << answer.status();
  }
}

}  // namespace
}  // namespace dumpwarden
