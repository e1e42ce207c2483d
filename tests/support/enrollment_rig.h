// SPDX-License-Identifier: Apache-2.0
// EnrollmentRig enrols with a real store, a real authority and real keys.
#ifndef DUMPWARDEN_TESTS_SUPPORT_ENROLLMENT_RIG_H_
#define DUMPWARDEN_TESTS_SUPPORT_ENROLLMENT_RIG_H_

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/digest.h"
#include "platform/keys.h"
#include "platform/system.h"
#include "server/identity/enrollment.h"
#include "server/store/sqlite_store.h"
#include "tests/support/fake_clock.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_folder.h"

namespace dumpwarden {

// A request with every key proven.  `csr`: DER; `host_key` is made anew.
inline v1::EnrollRequest EnrollRequestOf(const std::string& token, const std::string& name,
                                         const std::string& csr) {
  const KeyPtr host = *MakeKey();
  v1::EnrollRequest request;
  request.set_token(token);
  request.set_host_name(name);
  request.set_csr(csr);
  request.set_host_key(*PublicKeyDer(*host));
  request.set_host_key_proof(*Sign(
      *host, absl::StrCat(std::string("dumpwarden-enroll-v1\0", 21), Sha256(csr), Sha256(token))));
  return request;
}

class EnrollmentRig : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_THAT(Authority::Create(*vfs_, *random_, temp_.File("ca"), "corp.example", clock_.Now()),
                IsOk());
    ASSERT_OK_AND_ASSIGN(authority_, Authority::Open(*vfs_, *random_, temp_.File("ca")));
    ASSERT_OK_AND_ASSIGN(store_, MakeSqliteStore(temp_.File("store.db"), clock_));
    enrollment_ = std::make_unique<HostEnrollment>(
        *store_, *authority_, clock_, *random_, *log_,
        [this](const char* reason, const std::string& /*peer*/, const absl::Status& /*why*/) {
          refused_.emplace_back(reason);
        });
  }

  std::string Token(const v1::CreateTokenRequest& request = {}) {
    const auto made = enrollment_->CreateToken(request, "spiffe://corp.example/operator/a", "");
    EXPECT_THAT(made, IsOk());
    return made.ok() ? made->token() : "";
  }

  // From an address of its own, so that failures of one case do not count against the next.
  absl::StatusOr<v1::EnrollResponse> Enroll(const v1::EnrollRequest& request) {
    ++peers_;
    return enrollment_->Enroll(request,
                               absl::StrCat("ipv4:192.0.", peers_ / 256, ".", peers_ % 256, ":1"),
                               "dw.corp.example:7443");
  }

  std::size_t Hosts() { return store_->ListHosts()->size(); }

  TempFolder temp_;
  FakeClock clock_;
  const std::unique_ptr<Vfs> vfs_ = MakeSystemVfs();
  const std::unique_ptr<Random> random_ = MakeSystemRandom();
  const std::unique_ptr<Log> log_ = MakeLog(clock_, "test");
  std::unique_ptr<Authority> authority_;
  std::unique_ptr<Store> store_;
  std::unique_ptr<HostEnrollment> enrollment_;
  int peers_ = 0;
  std::vector<std::string> refused_;  // for what the store has no row
};

}  // namespace dumpwarden

#endif  // DUMPWARDEN_TESTS_SUPPORT_ENROLLMENT_RIG_H_
