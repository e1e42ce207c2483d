// SPDX-License-Identifier: Apache-2.0
// Renewal as the agent sees it, against the server's real authority.
#include "agent/renew.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <string>

#include "agent/enroll.h"
#include "core/base/digest.h"
#include "platform/system.h"
#include "server/identity/authority.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_folder.h"

namespace dumpwarden {
namespace {

using testing::HasSubstr;

constexpr char kHost[] = "d783c539-78c6-4f38-8e10-ecc8db8e5bbc";
constexpr char kOther[] = "f783c539-78c6-4f38-8e10-ecc8db8e5bbc";
constexpr absl::Duration kDay = absl::Hours(24);

class Renewing : public testing::Test {
 protected:
  Renewing() {
    ca = MakeAuthority("ca");
    identity.host_id = kHost;
    identity.trust_domain = "q.example";
    identity.server = "dump.example:7443";
    identity.labels["role"] = "sql";
    identity.ca_pem = ca->root_pem();
    const KeyPtr key = *MakeKey();
    identity.key_pem = *PrivateKeyPem(*key);
    identity.chain_pem = ca->IssueHost(*key, kHost, now)->chain_pem;
  }
  std::unique_ptr<Authority> MakeAuthority(const std::string& name) {
    EXPECT_THAT(Authority::Create(*vfs, *random, folder.File(name), "q.example", now), IsOk());
    return *Authority::Open(*vfs, *random, folder.File(name));
  }
  v1::RenewResponse Answer(Authority& authority, EVP_PKEY& key, const char* host = kHost) {
    const Issued issued = *authority.IssueHost(key, host, now);
    v1::RenewResponse answer;
    for (const std::string& der : issued.chain) answer.add_chain(der);
    return answer;
  }
  std::string Data() const { return folder.File("data"); }

  TempFolder folder;
  std::unique_ptr<Vfs> vfs = MakeSystemVfs();
  std::unique_ptr<Random> random = MakeSystemRandom();
  absl::Time now = absl::FromUnixSeconds(1795366800);
  std::unique_ptr<Authority> ca;
  const KeyPtr host_key = *MakeKey();
  Identity identity;
};

TEST_F(Renewing, IsDueAroundTheMiddleOfTheCertificatesLife) {
  const absl::Time begins = now - absl::Minutes(5);
  const absl::Duration life = 7 * kDay + absl::Minutes(5);
  EXPECT_EQ(WhenToRenew(identity, 0, now), begins + 0.45 * life);
  EXPECT_EQ(WhenToRenew(identity, 1, now), begins + 0.55 * life);
  EXPECT_EQ(WhenToRenew(identity, 0.5, now + 97 * kDay), begins + 0.5 * life) << "90 days late";
  EXPECT_EQ(WhenToRenew(identity, 0.5, now + 98 * kDay), absl::InfiniteFuture());
  identity.chain_pem = "nothing";
  EXPECT_EQ(WhenToRenew(identity, 0.5, now), absl::InfiniteFuture());
}

TEST_F(Renewing, MakesANewKeyAndProvesTheHostKeyForThisCertificateOnly) {
  ASSERT_OK_AND_ASSIGN(const Renewal renewal, MakeRenewal(identity, *host_key));
  ASSERT_OK_AND_ASSIGN(const KeyPtr asked, ReadCsrDer(renewal.request.csr()));
  EXPECT_EQ(*PublicKeyDer(*asked), *PublicKeyDer(*renewal.key));
  EXPECT_NE(*PrivateKeyPem(*renewal.key), identity.key_pem);
  const auto leaf = ReadCertificatesPem(identity.chain_pem);
  const std::string proven = std::string("dumpwarden-renew-v1") + '\0' +
                             Sha256(renewal.request.csr()) +
                             Sha256(*CertificateDer(*leaf->front()));
  EXPECT_THAT(VerifySignature(*host_key, proven, renewal.request.host_key_proof()), IsOk());
}

TEST_F(Renewing, BelievesAnAnswerOnlyAsFarAsItCanBeChecked) {
  const KeyPtr key = *MakeKey();
  ASSERT_OK_AND_ASSIGN(const Identity renewed,
                       CheckRenewResponse(Answer(*ca, *key), identity, *key, now));
  EXPECT_EQ(renewed.key_pem, *PrivateKeyPem(*key));
  EXPECT_EQ(renewed.host_id, kHost);
  EXPECT_EQ(renewed.labels, identity.labels);
  EXPECT_THAT(CheckIdentity(renewed, now), IsOk());
  const std::unique_ptr<Authority> other = MakeAuthority("other");
  const struct {
    const char* why;
    v1::RenewResponse answer;
  } kCases[] = {
      {"another CA", Answer(*other, *key)},
      {"another key", Answer(*ca, **MakeKey())},
      {"another host", Answer(*ca, *key, kOther)},
      {"no certificate", {}},
  };
  for (const auto& c : kCases) {
    EXPECT_THAT(CheckRenewResponse(c.answer, identity, *key, now),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("nothing was stored")))
        << c.why;
  }
  EXPECT_FALSE(CheckRenewResponse(Answer(*ca, *key), identity, *key, now - kDay).ok())
      << "one that this host's clock does not believe yet";
}

TEST_F(Renewing, IsStoredWithTheHostKeyThatWasThere) {
  ASSERT_THAT(SaveIdentity(*vfs, Data(), identity, "host key", false), IsOk());
  const KeyPtr key = *MakeKey();
  ASSERT_OK_AND_ASSIGN(const Identity renewed,
                       CheckRenewResponse(Answer(*ca, *key), identity, *key, now));
  ASSERT_THAT(SaveRenewed(*vfs, Data(), identity, renewed), IsOk());
  ASSERT_OK_AND_ASSIGN(const Identity read, LoadIdentity(*vfs, Data()));
  EXPECT_EQ(read.chain_pem, renewed.chain_pem);
  EXPECT_EQ(read.key_pem, renewed.key_pem);
  EXPECT_EQ(read.labels, identity.labels);
  EXPECT_EQ(*LoadHostKey(*vfs, Data()), "host key");
  EXPECT_FALSE(*vfs->Exists(Data() + "/identity.old"));
}

// An admin enrolled the machine anew while the server answered.
TEST_F(Renewing, DoesNotUndoAnEnrolmentAnew) {
  ASSERT_THAT(SaveIdentity(*vfs, Data(), identity, "host key", false), IsOk());
  const KeyPtr key = *MakeKey();
  ASSERT_OK_AND_ASSIGN(const Identity renewed,
                       CheckRenewResponse(Answer(*ca, *key), identity, *key, now));
  Identity anew = identity;
  anew.host_id = kOther;
  anew.chain_pem = ca->IssueHost(*key, kOther, now)->chain_pem;
  ASSERT_THAT(SaveIdentity(*vfs, Data(), anew, "another host key", true), IsOk());
  EXPECT_THAT(SaveRenewed(*vfs, Data(), identity, renewed),
              StatusIs(absl::StatusCode::kAborted, HasSubstr("was replaced")));
  EXPECT_EQ(LoadIdentity(*vfs, Data())->host_id, kOther);
  EXPECT_EQ(*LoadHostKey(*vfs, Data()), "another host key");
}

// The old identity stands until the last byte of the new one is on disk.
TEST_F(Renewing, ThatCannotBeStoredLeavesTheOldIdentity) {
  ASSERT_THAT(SaveIdentity(*vfs, Data(), identity, "host key", false), IsOk());
  // A folder where the new certificate would be written.
  std::filesystem::create_directories(Data() + "/identity.new/tls.crt/x");
  const KeyPtr key = *MakeKey();
  ASSERT_OK_AND_ASSIGN(const Identity renewed,
                       CheckRenewResponse(Answer(*ca, *key), identity, *key, now));
  EXPECT_FALSE(SaveRenewed(*vfs, Data(), identity, renewed).ok());
  ASSERT_OK_AND_ASSIGN(const Identity read, LoadIdentity(*vfs, Data()));
  EXPECT_EQ(read.chain_pem, identity.chain_pem);
  EXPECT_EQ(read.key_pem, identity.key_pem);
}

TEST_F(Renewing, ALateHostIsToldThatItWaitsForAnOperatorAndAVeryLateOneToEnrol) {
  EXPECT_THAT(CheckIdentity(identity, now + 8 * kDay),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr(std::string("dumpctl host approve ") + kHost)));
  EXPECT_THAT(CheckIdentity(identity, now + 98 * kDay),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("enroll --server")));
}

}  // namespace
}  // namespace dumpwarden
