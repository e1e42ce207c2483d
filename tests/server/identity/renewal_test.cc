// SPDX-License-Identifier: Apache-2.0
// Renewal with a real store, a real authority and real keys.
#include "server/identity/renewal.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <functional>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/digest.h"
#include "platform/sqlite.h"
#include "platform/system.h"
#include "server/store/sqlite_store.h"
#include "tests/support/fake_clock.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_folder.h"

namespace dumpwarden {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

constexpr char kMine[] = "6f9619ff-8b86-4d01-b42d-00cf4fc964ff";
constexpr char kOther[] = "00000000-8b86-4d01-b42d-00cf4fc964ff";

// A host with its keys and certificate.
struct Machine {
  KeyPtr host_key = *MakeKey();
  RenewingHost host;
};

class RenewalTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_THAT(Authority::Create(*vfs_, *random_, temp_.File("ca"), "corp.example", clock_.Now()),
                IsOk());
    ASSERT_OK_AND_ASSIGN(authority_, Authority::Open(*vfs_, *random_, temp_.File("ca")));
    ASSERT_OK_AND_ASSIGN(store_, MakeSqliteStore(temp_.File("store.db"), clock_));
    renewal_ = std::make_unique<HostRenewal>(
        *store_, *authority_, clock_, refusals_,
        HostRenewal::Fleet{[this](HostId host) { return connected_.contains(host); },
                           [this](HostId host) {
                             held_.push_back(host);
                             if (approve_) approve_(host);
                           },
                           [this](HostId host) { let_in_.push_back(host); }});
    mine_ = Enroll(kMine);
    other_ = Enroll(kOther);
  }

  Machine Enroll(const std::string& uuid) {
    Machine machine;
    const Audit audit{"test", "", "test", "", "", "", ""};
    EXPECT_THAT(store_->CreateToken({uuid, "d", {}, "", clock_.Now() + absl::Hours(1)}, audit),
                IsOk());
    HostRow row;
    row.uuid = uuid;
    row.name = "web";
    row.host_key = *PublicKeyDer(*machine.host_key);
    machine.host.row = *store_->EnrollHost(uuid, "d", row, clock_.Now(), audit);
    machine.host.id = absl::StrCat("spiffe://corp.example/host/", uuid);
    machine.host.source = "ipv4:192.0.2.7:1";
    Show(machine, *authority_->IssueHost(**MakeKey(), uuid, clock_.Now()));
    return machine;
  }
  // The certificate that it shows from now on.
  static void Show(Machine& machine, const Issued& issued) {
    const CertificatePtr leaf = *ReadCertificateDer(issued.chain.front());
    machine.host.leaf_pem = *CertificatePem(*leaf);
    machine.host.expires = Summarize(*leaf)->not_after;
  }

  static v1::RenewRequest Proven(const Machine& machine, const std::string& csr) {
    v1::RenewRequest request;
    request.set_csr(csr);
    const auto leaf = ReadCertificatesPem(machine.host.leaf_pem);
    const std::string proven = absl::StrCat(std::string("dumpwarden-renew-v1\0", 20), Sha256(csr),
                                            Sha256(*CertificateDer(*leaf->front())));
    request.set_host_key_proof(*Sign(*machine.host_key, proven));
    return request;
  }
  static v1::RenewRequest Request(const Machine& machine) {
    return Proven(machine, *MakeCsrDer(**MakeKey()));
  }
  absl::StatusOr<v1::RenewResponse> Renew(const Machine& machine) {
    return renewal_->Renew(Request(machine), machine.host);
  }

  std::vector<v1::AuditEntry> Rows(const std::string& action) {
    v1::ListAuditRequest query;
    query.set_action(action);
    return *store_->ListAudit(query);
  }
  void Execute(const std::string& sql) {
    const auto db = Database::Open(temp_.File("store.db"), Database::Durability::kFull);
    ASSERT_THAT((*db)->Execute(sql), IsOk());
  }

  TempFolder temp_;
  FakeClock clock_;
  const std::unique_ptr<Vfs> vfs_ = MakeSystemVfs();
  const std::unique_ptr<Random> random_ = MakeSystemRandom();
  Refusals refusals_{clock_, [](const Refusal&) {}};
  std::unique_ptr<Authority> authority_;
  std::unique_ptr<Store> store_;
  std::function<void(HostId)> approve_;
  std::vector<HostId> let_in_;
  std::set<HostId> connected_;
  std::vector<HostId> held_;
  std::unique_ptr<HostRenewal> renewal_;
  Machine mine_;
  Machine other_;
};

CertificateSummary LeafOf(const v1::RenewResponse& response) {
  return *Summarize(**ReadCertificateDer(response.chain(0)));
}

// A request that says everything about itself that a thief could wish for.
std::string BoastfulCsr(EVP_PKEY& key) {
  X509_REQ* csr = X509_REQ_new();
  X509_NAME* name = X509_REQ_get_subject_name(csr);
  X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>(kOther), -1, -1, 0);
  STACK_OF(X509_EXTENSION)* wishes = sk_X509_EXTENSION_new_null();
  const std::string alternative = absl::StrCat("URI:spiffe://corp.example/host/", kOther);
  for (const auto& [id, value] : {std::pair{NID_subject_alt_name, alternative.c_str()},
                                  {NID_basic_constraints, "critical,CA:TRUE"},
                                  {NID_ext_key_usage, "serverAuth"}}) {
    sk_X509_EXTENSION_push(wishes, X509V3_EXT_conf_nid(nullptr, nullptr, id, value));
  }
  X509_REQ_add_extensions(csr, wishes);
  sk_X509_EXTENSION_pop_free(wishes, X509_EXTENSION_free);
  X509_REQ_set_pubkey(csr, &key);
  X509_REQ_sign(csr, &key, EVP_sha256());
  unsigned char* der = nullptr;
  const int size = i2d_X509_REQ(csr, &der);
  std::string bytes(reinterpret_cast<char*>(der), static_cast<std::size_t>(size));
  OPENSSL_free(der);
  X509_REQ_free(csr);
  return bytes;
}

TEST_F(RenewalTest, T21GivesTheHostThatAsksACertificateWhateverTheRequestSays) {
  const KeyPtr key = *MakeKey();
  ASSERT_OK_AND_ASSIGN(const v1::RenewResponse done,
                       renewal_->Renew(Proven(mine_, BoastfulCsr(*key)), mine_.host));
  ASSERT_OK_AND_ASSIGN(const CertificatePtr leaf, ReadCertificateDer(done.chain(0)));
  EXPECT_EQ(LeafOf(done).spiffe_id, mine_.host.id);
  EXPECT_EQ(LeafOf(done).common_name, "");
  EXPECT_EQ(LeafOf(done).not_after,
            absl::FromUnixSeconds(absl::ToUnixSeconds(clock_.Now())) + kLeafLife);
  EXPECT_EQ(*CertificateKeyDer(*leaf), *PublicKeyDer(*key));
  EXPECT_EQ(X509_check_ca(leaf.get()), 0);
  EXPECT_NE(X509_check_purpose(leaf.get(), X509_PURPOSE_SSL_SERVER, 0), 1);
  EXPECT_FALSE(done.hold());
  ASSERT_THAT(Rows("host.renew"), SizeIs(1));
  const v1::AuditEntry row = Rows("host.renew")[0];
  EXPECT_EQ(row.actor(), mine_.host.id);
  EXPECT_EQ(row.source(), mine_.host.source);
  EXPECT_EQ(row.object(), kMine);
  EXPECT_THAT(row.detail(), HasSubstr(LeafOf(done).serial));
  EXPECT_EQ(row.after(), Sha256(done.chain(0)));
}

TEST_F(RenewalTest, WantsBothKeysProvenAndTheTlsKeyNew) {
  v1::RenewRequest no_proof = Request(mine_);
  no_proof.clear_host_key_proof();
  v1::RenewRequest broken = Request(mine_);
  broken.mutable_csr()->back() ^= 1;
  v1::RenewRequest other_csr = Request(mine_);
  other_csr.set_csr(*MakeCsrDer(**MakeKey()));
  Machine before = Enroll("11111111-8b86-4d01-b42d-00cf4fc964ff");
  const v1::RenewRequest of_the_leaf_before = Request(before);
  const KeyPtr now_key = *MakeKey();
  Show(before, *authority_->IssueHost(*now_key, before.host.row.uuid, clock_.Now()));
  const struct {
    const char* why;
    v1::RenewRequest request;
    const Machine& shown;
  } kCases[] = {
      {"no proof", no_proof, mine_},
      {"a request whose own signature is broken", broken, mine_},
      {"a proof of another request", other_csr, mine_},
      {"another host's", Request(other_), mine_},
      {"a proof for the certificate before: whoever has it renews for ever", of_the_leaf_before,
       before},
      {"the TLS key that there is", Proven(before, *MakeCsrDer(*now_key)), before},
      {"the host key", Proven(mine_, *MakeCsrDer(*mine_.host_key)), mine_},
  };
  for (const auto& c : kCases) {
    EXPECT_THAT(renewal_->Renew(c.request, c.shown.host),
                StatusIs(absl::StatusCode::kInvalidArgument, testing::_))
        << c.why;
  }
  EXPECT_THAT(Rows("host.renew"), IsEmpty());
  EXPECT_EQ(refusals_.Total("renewal.refused", "keys"), std::size(kCases));
}

TEST_F(RenewalTest, IsRefusedToARevokedAndToAQuarantinedHost) {
  for (const char* column : {"revoked", "quarantined"}) {
    Execute(absl::StrCat("UPDATE host SET ", column, " = 1 WHERE uuid = '", kMine, "'"));
    EXPECT_THAT(Renew(mine_), StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr(column)));
    Execute("UPDATE host SET revoked = 0, quarantined = 0");
  }
  EXPECT_THAT(Rows("host.renew"), IsEmpty());
  EXPECT_THAT(Renew(mine_), IsOk());
}

TEST_F(RenewalTest, T31EachHostMayAskSixTimesAnHour) {
  for (int i = 0; i < kRenewalsAnHour; ++i) EXPECT_THAT(Renew(mine_), IsOk()) << i;
  EXPECT_THAT(Renew(mine_), StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("an hour")));
  EXPECT_THAT(renewal_->Renew(Proven(mine_, "garbage"), mine_.host),
              StatusIs(absl::StatusCode::kResourceExhausted, testing::_));
  EXPECT_THAT(Renew(other_), IsOk()) << "another host";
  clock_.Advance(absl::Minutes(10));
  EXPECT_THAT(Renew(mine_), IsOk());
  EXPECT_THAT(Renew(mine_), StatusIs(absl::StatusCode::kResourceExhausted, testing::_));
  EXPECT_THAT(Rows("host.renew"), SizeIs(kRenewalsAnHour + 2));
}

// A thief would keep the host from its renewal until it is locked out.
TEST_F(RenewalTest, T31WhoHasTheTlsKeyAloneDoesNotUseUpTheHostsRenewals) {
  for (int i = 0; i < 10 * kRenewalsAnHour; ++i) {
    v1::RenewRequest unproven = Request(mine_);
    unproven.set_host_key_proof(std::string(70, 'x'));
    EXPECT_THAT(renewal_->Renew(unproven, mine_.host),
                StatusIs(absl::StatusCode::kInvalidArgument, testing::_));
  }
  EXPECT_THAT(Renew(mine_), IsOk());
}

TEST_F(RenewalTest, TakesARequestOfAtMostEightKibibytes) {
  for (const std::size_t size : {std::size_t{8 * 1024 + 1}, std::size_t{100 * 8 * 1024}}) {
    EXPECT_THAT(renewal_->Renew(Proven(mine_, std::string(size, 'x')), mine_.host),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("at most 8192")));
  }
}

TEST_F(RenewalTest, T33OfAnExpiredCertificateHoldsTheHostUntilItIsApproved) {
  clock_.Advance(kLeafLife);
  clock_.SetWall(mine_.host.expires);
  ASSERT_OK_AND_ASSIGN(const v1::RenewResponse done, Renew(mine_));
  EXPECT_TRUE(done.hold());
  EXPECT_TRUE(store_->FindHost(kMine)->hold);
  EXPECT_FALSE(store_->FindHost(kOther)->hold);
  EXPECT_THAT(held_, testing::ElementsAre(mine_.host.row.id)) << "its sessions end";
  EXPECT_THAT(Rows("host.renew"), IsEmpty());
  ASSERT_THAT(Rows("host.hold"), SizeIs(1));
  EXPECT_THAT(Rows("host.hold")[0].detail(), HasSubstr("expired at"));
  ASSERT_OK_AND_ASSIGN(
      const bool approved,
      store_->ApproveHost(mine_.host.row.id, Audit{"test", "", "", "", "", "", ""}));
  EXPECT_TRUE(approved);
  EXPECT_FALSE(store_->FindHost(kMine)->hold);
}

TEST_F(RenewalTest, ASecondBeforeItExpiresIsNotLate) {
  clock_.SetWall(mine_.host.expires - absl::Seconds(1));
  ASSERT_OK_AND_ASSIGN(const v1::RenewResponse done, Renew(mine_));
  EXPECT_FALSE(done.hold());
  EXPECT_FALSE(store_->FindHost(kMine)->hold);
}

// Whoever finds an old backup of a host would shut out the one that is at work.
TEST_F(RenewalTest, T13AnOldCopyOfAConnectedHostDoesNotHoldIt) {
  clock_.SetWall(mine_.host.expires + absl::Hours(24));
  connected_.insert(mine_.host.row.id);
  EXPECT_THAT(Renew(mine_), StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("newer")));
  EXPECT_FALSE(store_->FindHost(kMine)->hold);
  EXPECT_THAT(Rows("host.hold"), IsEmpty());
  connected_.clear();
  EXPECT_THAT(Renew(mine_), IsOk());
}

// It asked as often as it could, until the host's own certificate had expired.
TEST_F(RenewalTest, T13AnOldCopyDoesNotUseUpTheHostsRenewals) {
  const RenewingHost copy = mine_.host;
  clock_.SetWall(mine_.host.expires + absl::Hours(24));
  Show(mine_, *authority_->IssueHost(**MakeKey(), kMine, clock_.Now()));
  connected_.insert(mine_.host.row.id);
  const RenewingHost now = std::exchange(mine_.host, copy);
  for (int i = 0; i < 100; ++i) EXPECT_FALSE(Renew(mine_).ok());
  mine_.host = now;
  EXPECT_THAT(Renew(mine_), IsOk());
}

// The store said that it is let in, and it was refused until it was approved once more.
TEST_F(RenewalTest, AHostThatIsApprovedWhileItIsHeldIsLetIn) {
  clock_.SetWall(mine_.host.expires + absl::Hours(1));
  approve_ = [this](HostId host) {
    EXPECT_THAT(store_->ApproveHost(host, {"test", "", "host.approve", "", "", "", ""}), IsOk());
  };
  ASSERT_THAT(Renew(mine_), IsOk());
  EXPECT_THAT(let_in_, testing::ElementsAre(mine_.host.row.id));
  approve_ = nullptr;
  ASSERT_THAT(Renew(mine_), IsOk());
  EXPECT_THAT(let_in_, SizeIs(1)) << "held, and nobody approved it";
}

TEST_F(RenewalTest, OfAHostThatIsHeldChangesNothingOfThat) {
  Execute("UPDATE host SET hold = 1");
  mine_.host.row = *store_->FindHost(kMine);
  ASSERT_OK_AND_ASSIGN(const v1::RenewResponse done, Renew(mine_));
  EXPECT_TRUE(done.hold());
  EXPECT_TRUE(store_->FindHost(kMine)->hold);
}

}  // namespace
}  // namespace dumpwarden
