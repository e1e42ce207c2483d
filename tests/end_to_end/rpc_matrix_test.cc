// SPDX-License-Identifier: Apache-2.0
// The RPC matrix over the wire: every method of every service, read from the
// descriptors, called by everybody with an empty request.  Whoever the table does
// not name hears so before anything else; whom it names hears something else.
#include <gmock/gmock.h>
#include <google/protobuf/descriptor.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "dumpwarden/v1/admin.pb.h"
#include "dumpwarden/v1/enrollment.pb.h"
#include "dumpwarden/v1/session.pb.h"
#include "platform/sqlite.h"
#include "platform/system.h"
#include "server/authorize.h"
#include "server/identity/authority.h"
#include "tests/end_to_end/fleet.h"
#include "tests/support/bare_session.h"
#include "tests/support/status_matchers.h"

namespace dumpwarden {
namespace {

using Code = grpc::StatusCode;

// An empty request; what streams is given up after a second.
grpc::Status CallEmpty(const std::shared_ptr<grpc::Channel>& channel, const std::string& method) {
  grpc::GenericStub stub(channel);
  grpc::CompletionQueue queue;
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(1));
  const std::size_t dot = method.rfind('.');
  const std::string path = absl::StrCat("/", method.substr(0, dot), "/", method.substr(dot + 1));
  const grpc::Slice nothing("");
  const grpc::ByteBuffer request(&nothing, 1);
  const auto call = stub.PrepareUnaryCall(&context, path, request, &queue);
  call->StartCall();
  grpc::ByteBuffer response;
  grpc::Status status;
  call->Finish(&response, &status, nullptr);
  void* tag = nullptr;
  bool ok = false;
  queue.Next(&tag, &ok);
  return status;
}

bool IsRefusal(const grpc::Status& status) {
  return status.error_code() == Code::PERMISSION_DENIED ||
         status.error_code() == Code::UNAUTHENTICATED || status.error_code() == Code::UNAVAILABLE;
}

struct Caller {
  std::string what;
  std::string files;  // a folder for DialWith
  Who who = Who::kAnybody;
  RoleSet roles = 0;
};

class RpcMatrix : public testing::Test {
 protected:
  void SetUp() override { server_.Start(); }

  // A host as it is in `column`.
  void AddHost(const std::string& what, const std::string& column, bool good) {
    auto host = std::make_unique<Host>("web-01");
    ASSERT_EQ(host->Enroll(server_.CreateToken()).exit_code, 0);
    if (!column.empty()) {
      ASSERT_OK_AND_ASSIGN(const auto db, Database::Open(server_.folder() + "/store.db",
                                                         Database::Durability::kFull));
      ASSERT_THAT(db->Execute(absl::StrCat("UPDATE host SET ", column, " = 1 WHERE uuid = '",
                                           host->Id(), "'")),
                  IsOk());
    }
    callers_.push_back({what, host->File("data/identity"), good ? Who::kHost : Who::kAnybody, 0});
    hosts_.push_back(std::move(host));
  }
  const Person& AddPerson(const std::string& name, const std::string& roles) {
    people_.push_back(std::make_unique<Person>(server_, name, roles));
    return *people_.back();
  }
  // With the server's own authority, as nobody else can.
  void AddForged(const std::string& what, const std::string& name, absl::Time at) {
    const auto vfs = MakeSystemVfs();
    const auto random = MakeSystemRandom();
    auto authority = Authority::Open(*vfs, *random, server_.folder() + "/ca");
    ASSERT_THAT(authority, IsOk());
    const KeyPtr key = *MakeKey();
    const auto issued = (*authority)->IssueOperator(*key, name, at, absl::Hours(24));
    ASSERT_THAT(issued, IsOk());
    std::filesystem::create_directories(temp_.File(what));
    WriteAll(temp_.File(what + "/ca.crt"), (*authority)->root_pem());
    WriteAll(temp_.File(what + "/tls.crt"), issued->chain_pem);
    WriteAll(temp_.File(what + "/tls.key"), *PrivateKeyPem(*key));
    callers_.push_back({what, temp_.File(what)});
  }

  TempFolder temp_;
  Server server_;
  std::vector<std::unique_ptr<Host>> hosts_;
  std::vector<std::unique_ptr<Person>> people_;
  std::vector<Caller> callers_;
};

TEST_F(RpcMatrix, T21EveryMethodIsForWhomTheTableSays) {
  WriteAll(temp_.File("ca.crt"), ReadAll(server_.folder() + "/operators/admin/ca.crt"));
  callers_.push_back({"nobody", temp_.path()});
  AddHost("agent", "", true);
  AddHost("quarantined agent", "quarantined", true);  // the fleet says why it may not stay
  AddHost("revoked agent", "revoked", false);
  for (const RoleRow& row : AllRoles()) {
    const std::string word(row.word);
    callers_.push_back({word, AddPerson(absl::StrCat(word, "@corp.example"), word).Files(),
                        Who::kPerson, row.role});
  }
  callers_.push_back({"revoked person", AddPerson("eve", "admin").Files()});
  ASSERT_EQ(server_.Ctl({"person", "revoke", "eve", "--reason", "has left"}).exit_code, 0);
  AddForged("expired", "admin", absl::Now() - absl::Hours(48));
  AddForged("not on record", "admin", absl::Now());

  for (const Permission& row : AllPermissions()) {
    if (row.who == Who::kAnybody) continue;
    for (const Caller& caller : callers_) {
      const grpc::Status status =
          CallEmpty(DialWith(server_.address(), caller.files), std::string(row.method));
      const bool may = row.who == Who::kPerson
                           ? caller.who == Who::kPerson && (row.roles & caller.roles) != 0
                           : caller.who == Who::kHost;
      EXPECT_EQ(!IsRefusal(status), may) << caller.what << " calls " << row.method << ": "
                                         << status.error_code() << " " << status.error_message();
    }
  }
}

// The port for strangers has nothing else, and the other one has nothing for strangers.
TEST_F(RpcMatrix, T33StrangersReachOnlyWhatTakesATokenOrACode) {
  WriteAll(temp_.File("ca.crt"), ReadAll(server_.folder() + "/operators/admin/ca.crt"));
  const std::string door = server_.CreateToken()["address"];
  const std::string admin = server_.folder() + "/operators/admin";
  for (const Permission& row : AllPermissions()) {
    SCOPED_TRACE(row.method);
    const std::string method(row.method);
    const bool anybody = row.who == Who::kAnybody;
    const grpc::Status outside = CallEmpty(DialWith(door, temp_.path()), method);
    if (anybody) {
      EXPECT_TRUE(absl::StrContains(outside.error_message(), "is not valid here") ||
                  outside.error_code() == Code::INVALID_ARGUMENT)
          << outside.error_message();
    } else {
      EXPECT_EQ(outside.error_code(), Code::UNIMPLEMENTED) << outside.error_message();
    }
    const grpc::Status inside = CallEmpty(DialWith(server_.address(), admin), method);
    EXPECT_EQ(inside.error_code() == Code::UNIMPLEMENTED && inside.error_message().empty(), anybody)
        << inside.error_message();
  }
}

}  // namespace
}  // namespace dumpwarden
