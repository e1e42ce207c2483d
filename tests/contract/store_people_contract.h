// SPDX-License-Identifier: Apache-2.0
// What every Store must do with people: codes are good once, what was revoked
// stays so, and somebody can always log in as admin.
#ifndef DUMPWARDEN_TESTS_CONTRACT_STORE_PEOPLE_CONTRACT_H_
#define DUMPWARDEN_TESTS_CONTRACT_STORE_PEOPLE_CONTRACT_H_

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "tests/contract/store_bench.h"

namespace dumpwarden {

class StorePeople : public StoreContract {
 protected:
  absl::Status Add(const std::string& name, const std::vector<std::string>& roles,
                   const std::string& code = "") {
    PersonRow person;
    person.name = name;
    person.roles = roles;
    std::optional<LoginCodeRow> row;
    if (!code.empty()) row = Code(name, code);
    return store().AddPerson(person, row, By("person.add"));
  }
  // One who has logged in.
  void AddWithCertificate(const std::string& name, const std::string& role,
                          absl::Duration life = absl::Hours(1)) {
    PersonRow person;
    person.name = name;
    person.roles = {role};
    person.certificates = {{"serial of " + name, clock_.Now() + life}};
    ASSERT_THAT(store().AddPerson(person, std::nullopt, By("person.add")), IsOk());
  }
  LoginCodeRow Code(const std::string& name, const std::string& id) {
    return {id, Sha256("secret"), name, clock_.Now() + absl::Hours(1)};
  }
  absl::StatusOr<PersonRow> UseCode(const std::string& id, const std::string& serial = "5e",
                                    const std::string& secret = "secret") {
    const absl::Time expires = clock_.Now() + absl::Hours(720);
    return store().UseLoginCode(
        {id, Sha256(secret), clock_.Now()},
        [&](const PersonRow&) -> absl::StatusOr<Login> {
          return Login{{serial, expires}, By("person.login")};
        },
        By("person.login.refused"));
  }
  absl::StatusOr<bool> Revoke(const std::string& name, bool trial = false) {
    return store().RevokePerson(name, clock_.Now(), trial, By("person.revoke"));
  }
  absl::StatusOr<bool> SetRoles(const std::string& name, const std::vector<std::string>& roles,
                                bool trial = false) {
    return store().SetRoles(name, roles, clock_.Now(), trial, By("person.roles"));
  }
};

TEST_P(StorePeople, KeepsAPersonWithRolesAndCertificates) {
  ASSERT_THAT(Add("bob", {"operator", "viewer"}, "c1"), IsOk());
  ASSERT_THAT(Add("alice@corp.example", {"author"}), IsOk());
  EXPECT_THAT(Add("bob", {"admin"}), StatusIs(absl::StatusCode::kAlreadyExists, testing::_));
  ASSERT_THAT(UseCode("c1", "abc"), IsOk());
  ASSERT_OK_AND_ASSIGN(const auto people, store().ListPeople());
  ASSERT_THAT(people, testing::SizeIs(2));
  EXPECT_EQ(people[0].name, "alice@corp.example");
  ASSERT_OK_AND_ASSIGN(const PersonRow bob, store().FindPerson("bob"));
  EXPECT_THAT(bob.roles, testing::ElementsAre("operator", "viewer"));
  ASSERT_THAT(bob.certificates, testing::SizeIs(1));
  EXPECT_EQ(bob.certificates[0].serial, "abc");
  EXPECT_EQ(bob.certificates[0].expires, clock_.Now() + absl::Hours(720));
  EXPECT_EQ(bob.added, clock_.Now());
  EXPECT_FALSE(bob.revoked.has_value());
  for (const char* nobody : {"", "Bob", "bob ", "carol"}) {
    EXPECT_THAT(store().FindPerson(nobody), StatusIs(absl::StatusCode::kNotFound, testing::_));
  }
}

TEST_P(StorePeople, T33TakesACodeOnceAndLeavesARowForEveryTry) {
  ASSERT_THAT(Add("bob", {"viewer"}, "c1"), IsOk());
  EXPECT_THAT(UseCode("c2"),
              StatusIs(absl::StatusCode::kPermissionDenied, testing::HasSubstr("no such code")));
  EXPECT_THAT(UseCode("c1", "5e", "wrong"),
              StatusIs(absl::StatusCode::kPermissionDenied, testing::HasSubstr("wrong secret")));
  ASSERT_THAT(UseCode("c1"), IsOk());
  EXPECT_THAT(UseCode("c1", "5f"),
              StatusIs(absl::StatusCode::kPermissionDenied, testing::HasSubstr("was used at")));
  EXPECT_THAT(AuditOf("person.login"), testing::SizeIs(1));
  EXPECT_THAT(AuditOf("person.login.refused"), testing::SizeIs(3));
  EXPECT_THAT(store().FindPerson("bob")->certificates, testing::SizeIs(1));
}

TEST_P(StorePeople, T33LetsExactlyOneOfARaceHaveTheCode) {
  ASSERT_THAT(Add("bob", {"viewer"}, "c1"), IsOk());
  std::atomic<int> won = 0;
  std::vector<std::thread> racers;
  for (int i = 0; i < 4; ++i) {
    racers.emplace_back([&, i] { won += UseCode("c1", absl::StrCat("serial-", i)).ok(); });
  }
  for (std::thread& racer : racers) racer.join();
  EXPECT_EQ(won, 1);
  EXPECT_THAT(store().FindPerson("bob")->certificates, testing::SizeIs(1));
}

TEST_P(StorePeople, ACodeExpiresAndANewOneReplacesIt) {
  ASSERT_THAT(Add("bob", {"viewer"}, "c1"), IsOk());
  EXPECT_EQ(store().NewestTokenExpiry(clock_.Now()).value(), clock_.Now() + absl::Hours(1));
  ASSERT_THAT(store().CreateLoginCode(Code("bob", "c2"), By("person.code")), IsOk());
  EXPECT_THAT(UseCode("c1"),
              StatusIs(absl::StatusCode::kPermissionDenied, testing::HasSubstr("no such code")));
  clock_.Advance(absl::Hours(1));
  EXPECT_EQ(store().NewestTokenExpiry(clock_.Now()).value(), std::nullopt);
  EXPECT_THAT(UseCode("c2"),
              StatusIs(absl::StatusCode::kPermissionDenied, testing::HasSubstr("expired at")));
  EXPECT_THAT(store().CreateLoginCode(Code("carol", "c3"), By("person.code")),
              StatusIs(absl::StatusCode::kNotFound, testing::_));
}

TEST_P(StorePeople, KeepsNoLoginWhoseCertificateCouldNotBeMadeNorOneWithoutItsRow) {
  ASSERT_THAT(Add("bob", {"viewer"}, "c1"), IsOk());
  EXPECT_THAT(store().UseLoginCode(
                  {"c1", Sha256("secret"), clock_.Now()},
                  [](const PersonRow&) -> absl::StatusOr<Login> {
                    return absl::InternalError("no entropy");
                  },
                  By("person.login.refused")),
              StatusIs(absl::StatusCode::kInternal, "no entropy"));
  EXPECT_THAT(UseCode("c1"), IsOk()) << "the code was not used up";
  ASSERT_THAT(store().CreateLoginCode(Code("bob", "c2"), By("person.code")), IsOk());
  bench_->BreakAudit();
  EXPECT_FALSE(UseCode("c2", "5f").ok());
  EXPECT_FALSE(Add("carol", {"viewer"}).ok());
  EXPECT_FALSE(SetRoles("bob", {"author"}).ok());
  EXPECT_FALSE(Revoke("bob").ok());
  ASSERT_OK_AND_ASSIGN(const auto people, store().ListPeople());
  ASSERT_THAT(people, testing::SizeIs(1));
  EXPECT_THAT(people[0].roles, testing::ElementsAre("viewer"));
  EXPECT_THAT(people[0].certificates, testing::SizeIs(1));
  EXPECT_FALSE(people[0].revoked.has_value());
}

TEST_P(StorePeople, RevokesCertificatesAndCodesAndNothingComesBackWithThePerson) {
  AddWithCertificate("alice", "admin");
  AddWithCertificate("bob", "viewer");
  ASSERT_THAT(store().CreateLoginCode(Code("bob", "c1"), By("person.code")), IsOk());
  EXPECT_EQ(Revoke("bob", /*trial=*/true).value(), true);
  EXPECT_FALSE(store().FindPerson("bob")->revoked.has_value()) << "only tried";
  EXPECT_EQ(Revoke("bob").value(), true);
  EXPECT_EQ(Revoke("bob").value(), false);
  EXPECT_THAT(AuditOf("person.revoke"), testing::SizeIs(1));
  EXPECT_THAT(Revoke("carol"), StatusIs(absl::StatusCode::kNotFound, testing::_));
  ASSERT_OK_AND_ASSIGN(const PersonRow gone, store().FindPerson("bob"));
  EXPECT_EQ(gone.revoked, clock_.Now());
  EXPECT_THAT(gone.certificates, testing::IsEmpty());
  EXPECT_THAT(UseCode("c1"), StatusIs(absl::StatusCode::kPermissionDenied, testing::_));
  EXPECT_THAT(SetRoles("bob", {"admin"}),
              StatusIs(absl::StatusCode::kFailedPrecondition, testing::HasSubstr("revoked")));
  EXPECT_THAT(store().CreateLoginCode(Code("bob", "c2"), By("person.code")),
              StatusIs(absl::StatusCode::kFailedPrecondition, testing::HasSubstr("revoked")));
  ASSERT_THAT(Add("bob", {"author"}), IsOk());
  ASSERT_OK_AND_ASSIGN(const PersonRow back, store().FindPerson("bob"));
  EXPECT_THAT(back.roles, testing::ElementsAre("author"));
  EXPECT_THAT(back.certificates, testing::IsEmpty());
  EXPECT_FALSE(back.revoked.has_value());
  EXPECT_THAT(UseCode("c1"), StatusIs(absl::StatusCode::kPermissionDenied, testing::_));
}

TEST_P(StorePeople, SomebodyCanAlwaysLogInAsAdmin) {
  const auto last =
      StatusIs(absl::StatusCode::kFailedPrecondition, testing::HasSubstr("last admin"));
  AddWithCertificate("alice", "admin");
  for (const bool trial : {true, false}) {
    EXPECT_THAT(Revoke("alice", trial), last);
    EXPECT_THAT(SetRoles("alice", {"viewer"}, trial), last);
  }
  EXPECT_THAT(SetRoles("alice", {"admin", "viewer"}), IsOk()) << "she keeps it";
  ASSERT_THAT(Add("bob", {"admin"}, "c1"), IsOk());
  EXPECT_THAT(Revoke("alice"), last) << "bob has never logged in";
  ASSERT_THAT(UseCode("c1"), IsOk());
  clock_.Advance(absl::Hours(721));
  EXPECT_THAT(Revoke("alice"), last) << "bob's certificate has expired";
  AddWithCertificate("carol", "admin");
  EXPECT_THAT(Revoke("alice"), IsOk());
  EXPECT_THAT(Revoke("bob"), IsOk());
  EXPECT_THAT(Revoke("carol"), last);
}

TEST_P(StorePeople, SaysWhichRolesThereWereAndAre) {
  ASSERT_THAT(Add("bob", {"viewer"}), IsOk());
  EXPECT_EQ(SetRoles("bob", {"author", "viewer"}, /*trial=*/true).value(), true);
  EXPECT_THAT(AuditOf("person.roles"), testing::IsEmpty());
  EXPECT_EQ(SetRoles("bob", {"author", "viewer"}).value(), true);
  EXPECT_EQ(SetRoles("bob", {"author", "viewer"}).value(), false);
  const std::vector<v1::AuditEntry> rows = AuditOf("person.roles");
  ASSERT_THAT(rows, testing::SizeIs(1));
  EXPECT_EQ(rows[0].detail(), "viewer -> author,viewer");
  EXPECT_EQ(rows[0].before(), Sha256("viewer"));
  EXPECT_EQ(rows[0].after(), Sha256("author,viewer"));
}

TEST_P(StorePeople, SurvivesAPowerCut) {
  AddWithCertificate("alice", "admin");
  ASSERT_THAT(Add("bob", {"admin"}, "c1"), IsOk());
  ASSERT_THAT(UseCode("c1"), IsOk());
  ASSERT_THAT(Revoke("alice"), IsOk());
  const auto after = bench_->AfterPowerCut();
  EXPECT_TRUE(after->FindPerson("alice")->revoked.has_value());
  EXPECT_THAT(after->FindPerson("bob")->certificates, testing::SizeIs(1));
}

TEST_P(StorePeople, RetentionTakesCodesThatAreOver) {
  ASSERT_THAT(Add("bob", {"viewer"}, "c1"), IsOk());
  ASSERT_THAT(UseCode("c1"), IsOk());
  ASSERT_THAT(store().CreateLoginCode(Code("bob", "c2"), By("person.code")), IsOk());
  Retention retention;
  retention.tokens = absl::Hours(24);
  EXPECT_EQ(DeleteAll(retention).value(), 0);
  clock_.Advance(absl::Hours(26));
  EXPECT_EQ(DeleteAll(retention).value(), 2);
  EXPECT_THAT(store().FindPerson("bob")->certificates, testing::SizeIs(1));
}

}  // namespace dumpwarden

#endif  // DUMPWARDEN_TESTS_CONTRACT_STORE_PEOPLE_CONTRACT_H_
