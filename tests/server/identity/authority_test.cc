// SPDX-License-Identifier: Apache-2.0
// What the authority's certificates say, and what they must never say.
#include "server/identity/authority.h"

#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>

#include <filesystem>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/base/digest.h"
#include "platform/system.h"
#include "server/identity/names.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_folder.h"

namespace dumpwarden {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::SizeIs;

constexpr char kUuid[] = "0f8fad5b-d9cb-469f-a165-70867728950e";

class AuthorityTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_THAT(Authority::Create(*vfs_, *random_, folder_, "corp.example", now_), IsOk());
    ASSERT_OK_AND_ASSIGN(authority_, Authority::Open(*vfs_, *random_, folder_));
    ASSERT_OK_AND_ASSIGN(key_, MakeKey());
    ASSERT_OK_AND_ASSIGN(CertificatePtr root, ReadCertificateDer(authority_->root_der()));
    roots_.push_back(std::move(root));
  }

  std::vector<CertificatePtr> Chain(const Issued& issued) {
    std::vector<CertificatePtr> chain;
    for (const std::string& der : issued.chain) chain.push_back(*ReadCertificateDer(der));
    return chain;
  }

  ChainVerdict Verify(const Issued& issued, Purpose purpose, absl::string_view name = "",
                      absl::Duration later = absl::ZeroDuration()) {
    return VerifyChain(Chain(issued), roots_, purpose, name, now_ + later);
  }

  TempFolder temp_;
  const std::string folder_ = temp_.File("ca");
  const absl::Time now_ = absl::FromUnixSeconds(1790000000);
  std::unique_ptr<Vfs> vfs_ = MakeSystemVfs();
  std::unique_ptr<Random> random_ = MakeSystemRandom();
  std::unique_ptr<Authority> authority_;
  KeyPtr key_;
  std::vector<CertificatePtr> roots_;
};

TEST_F(AuthorityTest, GivesAHostItsIdAndNothingElse) {
  ASSERT_OK_AND_ASSIGN(const Issued issued, authority_->IssueHost(*key_, kUuid, now_));
  ASSERT_THAT(issued.chain, SizeIs(2));
  const std::vector<CertificatePtr> chain = Chain(issued);
  ASSERT_OK_AND_ASSIGN(const CertificateSummary leaf, Summarize(*chain.front()));
  EXPECT_EQ(leaf.spiffe_id, absl::StrCat("spiffe://corp.example/host/", kUuid));
  EXPECT_EQ(leaf.common_name, "");
  EXPECT_THAT(leaf.serial, SizeIs(40));
  EXPECT_EQ(leaf.not_before, now_ - absl::Minutes(5));
  EXPECT_EQ(leaf.not_after, now_ + kLeafLife);
  X509* raw = chain.front().get();
  EXPECT_EQ(X509_check_ca(raw), 0);
  EXPECT_EQ(X509_get_extended_key_usage(raw), static_cast<std::uint32_t>(XKU_SSL_CLIENT));
  EXPECT_EQ(X509_get_key_usage(raw), static_cast<std::uint32_t>(KU_DIGITAL_SIGNATURE));
  EXPECT_NE(X509_get0_subject_key_id(raw), nullptr);
  EXPECT_NE(X509_get0_authority_key_id(raw), nullptr);
}

TEST_F(AuthorityTest, KeepsClientsAndServersApart) {
  ASSERT_OK_AND_ASSIGN(const Issued host, authority_->IssueHost(*key_, kUuid, now_));
  ASSERT_OK_AND_ASSIGN(const Issued alice,
                       authority_->IssueOperator(*key_, "alice", now_, absl::Hours(8)));
  ASSERT_OK_AND_ASSIGN(
      const Issued server,
      authority_->IssueServer(*key_, {"localhost", "127.0.0.1", "::1"}, now_, absl::Hours(24)));
  EXPECT_EQ(Verify(host, Purpose::kClient), ChainVerdict::kGood);
  EXPECT_EQ(Verify(host, Purpose::kServer), ChainVerdict::kWrongPurpose);
  EXPECT_EQ(Verify(alice, Purpose::kClient), ChainVerdict::kGood);
  EXPECT_EQ(Verify(alice, Purpose::kServer), ChainVerdict::kWrongPurpose);
  EXPECT_EQ(Verify(server, Purpose::kServer), ChainVerdict::kGood);
  EXPECT_EQ(Verify(server, Purpose::kClient), ChainVerdict::kWrongPurpose);
}

TEST_F(AuthorityTest, NamesAServerByDnsAndAddress) {
  ASSERT_OK_AND_ASSIGN(
      const Issued server,
      authority_->IssueServer(*key_, {"dw.corp.example", "127.0.0.1"}, now_, absl::Hours(24)));
  ASSERT_THAT(server.chain, SizeIs(3));
  EXPECT_EQ(Sha256Hex(server.chain.back()), authority_->root_pin());
  const struct {
    const char* name;
    ChainVerdict verdict;
    const char* why;
  } kCases[] = {
      {"dw.corp.example", ChainVerdict::kGood, "a DNS name"},
      {"DW.corp.example", ChainVerdict::kGood, "DNS names ignore case"},
      {"127.0.0.1", ChainVerdict::kGood, "an address"},
      {"127.0.0.2", ChainVerdict::kWrongName, "another address"},
      {"x.dw.corp.example", ChainVerdict::kWrongName, "a name below"},
      {"corp.example", ChainVerdict::kWrongName, "a name above"},
  };
  for (const auto& c : kCases) {
    EXPECT_EQ(Verify(server, Purpose::kServer, c.name), c.verdict) << c.why;
  }
}

TEST_F(AuthorityTest, SaysWhyAChainIsNotGood) {
  ASSERT_OK_AND_ASSIGN(const Issued host, authority_->IssueHost(*key_, kUuid, now_));
  EXPECT_EQ(Verify(host, Purpose::kClient, "", kLeafLife + absl::Seconds(1)),
            ChainVerdict::kExpired);
  EXPECT_EQ(Verify(host, Purpose::kClient, "", -absl::Minutes(6)), ChainVerdict::kNotYetValid);
  EXPECT_EQ(VerifyChain({}, roots_, Purpose::kClient, "", now_), ChainVerdict::kNoCertificate);
  Issued alone = host;
  alone.chain.resize(1);
  EXPECT_EQ(Verify(alone, Purpose::kClient), ChainVerdict::kOtherCa) << "no intermediate";
}

TEST_F(AuthorityTest, CallsAnotherCaAnotherCaEvenWhenExpired) {
  const std::string other = temp_.File("other");
  ASSERT_THAT(Authority::Create(*vfs_, *random_, other, "corp.example", now_), IsOk());
  ASSERT_OK_AND_ASSIGN(const auto stranger, Authority::Open(*vfs_, *random_, other));
  ASSERT_OK_AND_ASSIGN(const Issued host, stranger->IssueHost(*key_, kUuid, now_));
  EXPECT_EQ(Verify(host, Purpose::kClient), ChainVerdict::kOtherCa);
  EXPECT_EQ(Verify(host, Purpose::kClient, "", kLeafLife * 2), ChainVerdict::kOtherCa);
  EXPECT_EQ(Verify(host, Purpose::kServer), ChainVerdict::kOtherCa);
}

TEST_F(AuthorityTest, RefusesNamesThatWouldSpeakTheExtensionLanguage) {
  const char* const kOperators[] = {"",        "alice,DNS:dw.corp.example",
                                    "../root", "a b",
                                    "Alice",   "alice/host/x",
                                    ".alice",  "-alice",
                                    "al\nice"};
  for (const char* name : kOperators) {
    EXPECT_THAT(authority_->IssueOperator(*key_, name, now_, absl::Hours(1)),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("operator")))
        << name;
  }
  const char* const kServers[] = {"", "a,IP:1.2.3.4", "*.corp.example", "a..b", "-a", "a:1"};
  for (const char* name : kServers) {
    EXPECT_FALSE(authority_->IssueServer(*key_, {name}, now_, absl::Hours(1)).ok()) << name;
  }
  for (const char* uuid : {"", "x", "0F8FAD5B-D9CB-469F-A165-70867728950E",
                           "0f8fad5b-d9cb-469f-a165-70867728950e,URI:x"}) {
    EXPECT_FALSE(authority_->IssueHost(*key_, uuid, now_).ok()) << uuid;
  }
  for (const char* domain : {"", "Corp.example", "a/b", "10.0.0.1", "a..b"}) {
    EXPECT_FALSE(CheckTrustDomain(domain).ok()) << domain;
  }
}

TEST_F(AuthorityTest, DoesNotOutliveItself) {
  EXPECT_THAT(authority_->IssueOperator(*key_, "alice", now_, absl::Hours(24 * 365 * 11)),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("authority's own ends")));
}

TEST_F(AuthorityTest, KeepsWhatIsThere) {
  EXPECT_THAT(Authority::Create(*vfs_, *random_, folder_, "corp.example", now_),
              StatusIs(absl::StatusCode::kAlreadyExists, HasSubstr("kept")));
  ASSERT_OK_AND_ASSIGN(const auto again, Authority::Open(*vfs_, *random_, folder_));
  EXPECT_EQ(again->root_pin(), authority_->root_pin());
  EXPECT_EQ(again->trust_domain(), "corp.example");
  EXPECT_TRUE(absl::StartsWith(again->root_pem(), "-----BEGIN CERTIFICATE-----"));
}

TEST_F(AuthorityTest, RefusesKeysThatOthersCanRead) {
  for (const auto& entry : std::filesystem::directory_iterator(folder_)) {
    struct stat info {};
    ASSERT_EQ(stat(entry.path().c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0777, 0600u) << entry.path();
  }
  for (const char* who : {"root", "clients", "servers"}) {
    const std::string path = absl::StrCat(folder_, "/", who, "-key.pem");
    ASSERT_EQ(chmod(path.c_str(), 0640), 0);
    EXPECT_THAT(Authority::Open(*vfs_, *random_, folder_),
                StatusIs(absl::StatusCode::kFailedPrecondition,
                         AllOf(HasSubstr("mode 0640"), HasSubstr("0600 is accepted"),
                               HasSubstr("chmod 600 " + path))));
    ASSERT_EQ(chmod(path.c_str(), 0600), 0);
  }
  ASSERT_EQ(chmod(folder_.c_str(), 0750), 0);
  EXPECT_THAT(Authority::Open(*vfs_, *random_, folder_),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("chmod 700 " + folder_)));
}

TEST_F(AuthorityTest, RefusesAKeyOfAnotherCertificate) {
  std::filesystem::copy_file(folder_ + "/servers-key.pem", folder_ + "/clients-key.pem",
                             std::filesystem::copy_options::overwrite_existing);
  EXPECT_THAT(Authority::Open(*vfs_, *random_, folder_),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("is not the key of")));
}

}  // namespace
}  // namespace dumpwarden
