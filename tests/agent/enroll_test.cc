// SPDX-License-Identifier: Apache-2.0
// Enrolment and identity against the server's real authority.
#include "agent/enroll.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <utility>

#include "core/base/digest.h"
#include "platform/system.h"
#include "server/identity/authority.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_folder.h"

namespace dumpwarden {
namespace {

using ::testing::HasSubstr;

constexpr char kHost[] = "d783c539-78c6-4f38-8e10-ecc8db8e5bbc";

class Enrolment : public testing::Test {
 protected:
  Enrolment() {
    ca = MakeAuthority("ca");
    keys = *MakeEnrollmentKeys();
    response = Answer(*ca, *keys.tls);
  }
  std::unique_ptr<Authority> MakeAuthority(const std::string& name) {
    const std::string path = folder.File(name);
    EXPECT_THAT(Authority::Create(*vfs, *random, path, "q.example", now), IsOk());
    return *Authority::Open(*vfs, *random, path);
  }
  v1::EnrollResponse Answer(Authority& authority, EVP_PKEY& key) {
    const Issued issued = *authority.IssueHost(key, kHost, now);
    v1::EnrollResponse answer;
    answer.set_host_id(kHost);
    for (const std::string& der : issued.chain) answer.add_chain(der);
    answer.set_root(authority.root_der());
    answer.set_trust_domain("q.example");
    answer.set_server("dump.example:7443");
    (*answer.mutable_labels())["role"] = "it's";
    return answer;
  }
  absl::StatusOr<Identity> Check(const v1::EnrollResponse& answer) {
    return CheckEnrollResponse(answer, keys, ca->root_pin(), now);
  }

  TempFolder folder;
  std::unique_ptr<Vfs> vfs = MakeSystemVfs();
  std::unique_ptr<Random> random = MakeSystemRandom();
  absl::Time now = absl::FromUnixSeconds(1795366800);
  std::unique_ptr<Authority> ca;
  EnrollmentKeys keys;
  v1::EnrollResponse response;
};

TEST_F(Enrolment, RequestProvesBothKeys) {
  ASSERT_OK_AND_ASSIGN(const v1::EnrollRequest request, MakeEnrollRequest(keys, "token", "web-01"));
  EXPECT_THAT(ReadCsrDer(request.csr()), IsOk());
  ASSERT_OK_AND_ASSIGN(const KeyPtr host, ReadPublicKeyDer(request.host_key()));
  const std::string proven =
      std::string("dumpwarden-enroll-v1") + '\0' + Sha256(request.csr()) + Sha256("token");
  EXPECT_THAT(VerifySignature(*host, proven, request.host_key_proof()), IsOk());
  EXPECT_NE(*PublicKeyDer(*keys.tls), *PublicKeyDer(*keys.host));
}

TEST_F(Enrolment, BelievesAnAnswerOnlyAsFarAsItCanBeChecked) {
  ASSERT_THAT(Check(response), IsOk());
  const std::unique_ptr<Authority> other = MakeAuthority("other");
  const EnrollmentKeys stranger = *MakeEnrollmentKeys();
  const auto changed = [this](auto change) {
    v1::EnrollResponse answer = response;
    change(answer);
    return answer;
  };
  const struct {
    v1::EnrollResponse answer;
    const char* why;
  } kCases[] = {
      {Answer(*other, *keys.tls), "another CA than the token's"},
      {Answer(*ca, *stranger.tls), "a certificate for another key"},
      {changed([&](auto& a) { a.set_root(other->root_der()); }), "another root"},
      {changed([](auto& a) { a.set_host_id("f783c539-78c6-4f38-8e10-ecc8db8e5bbc"); }),
       "another host than the certificate's"},
      {changed([](auto& a) { a.set_trust_domain("evil.example"); }), "another trust domain"},
      {changed([](auto& a) { a.set_host_id("x\ny: z"); }), "a host id that is no name"},
      {changed([](auto& a) { a.set_server("nowhere"); }), "a server without a port"},
      {changed([](auto& a) { (*a.mutable_labels())["os.build"] = "1"; }), "a label that is a fact"},
      {changed([](auto& a) { a.clear_chain(); }), "no certificate"},
      {changed([](auto& a) { a.mutable_chain(0)->append("x"); }), "a damaged certificate"},
      {changed([](auto& a) {
         for (int i = 0; i < 9; ++i) a.add_chain(a.chain(0));
       }),
       "an endless chain"},
  };
  for (const auto& c : kCases) EXPECT_FALSE(Check(c.answer).ok()) << c.why;
}

TEST_F(Enrolment, StoresAnIdentityThatReadsBackTheSame) {
  ASSERT_OK_AND_ASSIGN(const Identity identity, Check(response));
  const std::string data = folder.File("data");
  EXPECT_THAT(LoadIdentity(*vfs, data),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("not enrolled")));
  ASSERT_THAT(SaveIdentity(*vfs, data, identity, "host key", false), IsOk());
  ASSERT_OK_AND_ASSIGN(const Identity read, LoadIdentity(*vfs, data));
  EXPECT_EQ(read.host_id, kHost);
  EXPECT_EQ(read.server, "dump.example:7443");
  EXPECT_EQ(read.labels, identity.labels);
  EXPECT_EQ(read.chain_pem, identity.chain_pem);
  EXPECT_EQ(*vfs->Read(data + "/identity/host.key", 100), "host key");
}

TEST_F(Enrolment, ReplacesOnlyWhenToldAndKeepsNoOldKeys) {
  ASSERT_OK_AND_ASSIGN(Identity identity, Check(response));
  const std::string data = folder.File("data");
  ASSERT_THAT(SaveIdentity(*vfs, data, identity, "one", false), IsOk());
  identity.server = "other.example:1";
  EXPECT_THAT(SaveIdentity(*vfs, data, identity, "two", false),
              StatusIs(absl::StatusCode::kAlreadyExists, HasSubstr("--replace")));
  EXPECT_EQ(LoadIdentity(*vfs, data)->server, "dump.example:7443");
  ASSERT_THAT(SaveIdentity(*vfs, data, identity, "two", true), IsOk());
  EXPECT_EQ(LoadIdentity(*vfs, data)->server, "other.example:1");
  EXPECT_FALSE(*vfs->Exists(data + "/identity.old"));
}

TEST_F(Enrolment, AKillWhileReplacingLeavesTheOldIdentity) {
  ASSERT_OK_AND_ASSIGN(const Identity identity, Check(response));
  const std::string data = folder.File("data");
  ASSERT_THAT(SaveIdentity(*vfs, data, identity, "one", false), IsOk());
  ASSERT_THAT(vfs->Rename(data + "/identity", data + "/identity.old"), IsOk());
  EXPECT_THAT(LoadIdentity(*vfs, data), IsOk());
}

// A dial between the two renames moved the old identity back: the enrolment failed, its token
// burnt.
TEST_F(Enrolment, ADialWhileReplacingNeitherDisturbsItNorMixesTwoIdentities) {
  ASSERT_OK_AND_ASSIGN(const Identity identity, Check(response));
  Identity other = identity;
  other.server = "other.example:1";
  other.key_pem = "the other's key";
  const std::string data = folder.File("data");
  ASSERT_THAT(SaveIdentity(*vfs, data, identity, "one", false), IsOk());
  std::atomic<bool> done = false;
  std::thread dials([&] {
    while (!done) {
      const absl::StatusOr<Identity> read = LoadIdentity(*vfs, data);
      EXPECT_THAT(read, IsOk());
      if (!read.ok()) return;
      EXPECT_EQ(read->server == other.server, read->key_pem == other.key_pem);
    }
  });
  for (int i = 0; i < 5; ++i) {
    EXPECT_THAT(SaveIdentity(*vfs, data, i % 2 == 0 ? other : identity, "two", true), IsOk());
  }
  done = true;
  dials.join();
}

TEST_F(Enrolment, SaysWhatIsWrongWithTheHostsOwnCertificate) {
  ASSERT_OK_AND_ASSIGN(const Identity good, Check(response));
  EXPECT_THAT(CheckIdentity(good, now), IsOk());
  Identity other_ca = good;
  other_ca.ca_pem = MakeAuthority("other")->root_pem();
  Identity other_key = good;
  other_key.key_pem = *PrivateKeyPem(*MakeEnrollmentKeys()->tls);
  Identity damaged = good;
  damaged.chain_pem = "nothing";
  const struct {
    const Identity& identity;
    absl::Duration later;
    const char* says;
  } kCases[] = {
      {good, absl::Hours(24 * 8), "expired on"},
      {good, -absl::Hours(24), "set the clock right"},
      {other_ca, absl::ZeroDuration(), "not issued by the CA"},
      {other_key, absl::ZeroDuration(), "another key"},
      {damaged, absl::ZeroDuration(), "unreadable"},
  };
  for (const auto& c : kCases) {
    EXPECT_THAT(CheckIdentity(c.identity, now + c.later),
                StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr(c.says)));
  }
}

TEST_F(Enrolment, SaysWhatIsWrongWithTheServersCertificate) {
  const EnrollmentKeys server = *MakeEnrollmentKeys();
  const Issued issued =
      *ca->IssueServer(*server.tls, {"dump.example", "127.0.0.1"}, now, absl::Hours(24));
  std::vector<CertificatePtr> roots = *ReadCertificatesPem(ca->root_pem());
  const std::vector<CertificatePtr> others =
      *ReadCertificatesPem(MakeAuthority("other")->root_pem());
  const std::string host_chain = Check(response)->chain_pem;
  EXPECT_THAT(CheckServerChain(issued.chain_pem, roots, "dump.example", now), IsOk());
  EXPECT_THAT(CheckServerChain(issued.chain_pem, roots, "127.0.0.1", now), IsOk());
  const struct {
    const std::string& chain;
    const std::vector<CertificatePtr>& roots;
    const char* name;
    absl::Duration later;
    const char* says;
  } kCases[] = {
      {issued.chain_pem, others, "dump.example", absl::ZeroDuration(), "another CA"},
      {issued.chain_pem, roots, "evil.example", absl::ZeroDuration(),
       "does not name \"evil.example\" but dump.example, 127.0.0.1; dial one of these"},
      {issued.chain_pem, roots, "dump.example", absl::Hours(48), "expired on"},
      {issued.chain_pem, roots, "dump.example", -absl::Hours(48), "set the clocks right"},
      {host_chain, roots, "dump.example", absl::ZeroDuration(), "not for servers"},
  };
  for (const auto& c : kCases) {
    EXPECT_THAT(CheckServerChain(c.chain, c.roots, c.name, now + c.later),
                StatusIs(absl::StatusCode::kUnauthenticated, HasSubstr(c.says)));
  }
}

}  // namespace
}  // namespace dumpwarden
