// SPDX-License-Identifier: Apache-2.0
// What only the wire shows of the limits: at each, one above it, and a hundred
// times above.  Whoever is over one is told so; others go on as before.
#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "dumpwarden/v1/admin.grpc.pb.h"
#include "dumpwarden/v1/enrollment.grpc.pb.h"
#include "tests/end_to_end/fleet.h"
#include "tests/support/bare_session.h"
#include "tests/support/status_matchers.h"

namespace dumpwarden {
namespace {

using testing::HasSubstr;
using Code = grpc::StatusCode;

// As large as asked, by a field that nobody knows.
template <typename Message>
Message Padded(Message message, std::size_t bytes) {
  auto* unknown = message.GetReflection()->MutableUnknownFields(&message);
  unknown->AddLengthDelimited(15000, std::string(bytes, 'x'));
  while (message.ByteSizeLong() > bytes) {
    unknown->mutable_field(0)->mutable_length_delimited()->pop_back();
  }
  EXPECT_EQ(message.ByteSizeLong(), bytes);
  return message;
}

// A sanitizer keeps what was freed for a while: memory says nothing then.
#ifdef DUMPWARDEN_SANITIZED
constexpr bool kMemoryTells = false;
#else
constexpr bool kMemoryTells = true;
#endif

std::int64_t PeakMib(const Server& server) {
  const std::string status = ReadAll(absl::StrCat("/proc/", server.pid(), "/status"));
  const std::size_t at = status.find("VmHWM:");
  std::int64_t kib = 0;
  const std::vector<std::string> words =
      absl::StrSplit(status.substr(at), absl::ByAnyChar(" \t\n"), absl::SkipEmpty());
  EXPECT_TRUE(words.size() > 1 && absl::SimpleAtoi(words[1], &kib)) << status;
  return kib / 1024;
}

std::shared_ptr<grpc::Channel> Dial(const Server& server, const Host& host) {
  return DialWith(server.address(), host.File("data/identity"));
}

class LimitsOnTheWire : public testing::Test {
 protected:
  void SetUp() override {
    server_.Start();
    ASSERT_EQ(host_.Enroll(server_.CreateToken()).exit_code, 0);
    ASSERT_EQ(other_.Enroll(server_.CreateToken()).exit_code, 0);
    others_ = std::make_unique<BareSession>(Dial(server_, other_));
    ASSERT_TRUE(others_->Join());
  }
  // Another host's session, from before.
  void ExpectOthersGoOn() {
    ASSERT_TRUE(others_->Write(BareReport(++others_reports_)));
    EXPECT_TRUE(others_->AwaitAck(others_reports_));
  }

  Server server_;
  Host host_{"web-01"};
  Host other_{"web-02"};
  std::unique_ptr<BareSession> others_;
  std::uint64_t others_reports_ = 0;
};

TEST_F(LimitsOnTheWire, T20MessageOfAHostHasAtMostOneMebibyte) {
  constexpr std::size_t kMebibyte = 1024 * 1024;
  const struct {
    const char* why;
    std::size_t bytes;
    bool taken;
    const char* goodbye;  // nullptr: the stream just ends
  } cases[] = {
      {"at the limit", kMebibyte, true, nullptr},
      {"one above", kMebibyte + 1, false, "more than 1 MiB"},
      {"more than the listener takes", 5 * kMebibyte + 1, false, nullptr},
      {"a hundred times", 100 * kMebibyte, false, nullptr},
  };
  std::uint64_t reports = 0;
  for (const auto& test : cases) {
    SCOPED_TRACE(test.why);
    BareSession session(Dial(server_, host_));
    ASSERT_TRUE(session.Join());
    session.Write(Padded(v1::AgentMessage(), test.bytes));
    if (test.taken) {
      ASSERT_TRUE(session.Write(BareReport(++reports)));
      EXPECT_TRUE(session.AwaitAck(reports));
      continue;
    }
    std::string goodbye;
    for (v1::ServerMessage answer; session.Read(answer);) {
      if (answer.has_goodbye()) goodbye = answer.goodbye().message();
    }
    EXPECT_THAT(goodbye, HasSubstr(test.goodbye == nullptr ? "" : test.goodbye));
    ExpectOthersGoOn();
  }
  if (kMemoryTells) {
    EXPECT_LT(PeakMib(server_), 256);
  }
}

TEST_F(LimitsOnTheWire, MetadataHaveAtMostEightKibibytes) {
  const struct {
    const char* why;
    std::size_t bytes;
    bool taken;
  } cases[] = {
      {"below, with what gRPC adds", 7 * 1024, true},
      {"above, with what gRPC adds", 8 * 1024, false},
      {"a hundred times", 800 * 1024, false},
  };
  for (const auto& test : cases) {
    SCOPED_TRACE(test.why);
    auto stub = v1::AgentSession::NewStub(Dial(server_, host_));
    grpc::ClientContext context;
    context.AddMetadata("x-much", std::string(test.bytes, 'x'));
    auto stream = stub->Session(&context);
    v1::AgentMessage hello;
    hello.mutable_hello()->set_protocol_min(1);
    hello.mutable_hello()->set_protocol_max(1);
    hello.mutable_hello()->set_instance("much");
    stream->Write(hello);
    v1::ServerMessage answer;
    EXPECT_EQ(stream->Read(&answer), test.taken);
    context.TryCancel();
    stream->Finish();
    ExpectOthersGoOn();
  }
}

TEST_F(LimitsOnTheWire, T20EnrolmentHasAtMost64Kibibytes) {
  constexpr std::size_t kLimit = 64 * 1024;
  const Json token = server_.CreateToken();
  grpc::SslCredentialsOptions options;
  options.pem_root_certs = ReadAll(server_.folder() + "/operators/admin/ca.crt");
  const struct {
    const char* why;
    std::size_t bytes;
    Code verdict;
  } cases[] = {
      {"at the limit: read, and refused for what it says", kLimit, Code::INVALID_ARGUMENT},
      {"one above", kLimit + 1, Code::RESOURCE_EXHAUSTED},
      {"a hundred times", 100 * kLimit, Code::RESOURCE_EXHAUSTED},
  };
  for (const auto& test : cases) {
    SCOPED_TRACE(test.why);
    auto stub = v1::Enrollment::NewStub(
        grpc::CreateChannel(token["address"].get<std::string>(), grpc::SslCredentials(options)));
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(20));
    v1::EnrollResponse response;
    const grpc::Status done =
        stub->Enroll(&context, Padded(v1::EnrollRequest(), test.bytes), &response);
    EXPECT_EQ(done.error_code(), test.verdict) << done.error_message();
  }
  EXPECT_EQ(server_.CtlJson({"host", "list"}).size(), 2u) << "nobody came in";
  ExpectOthersGoOn();
}

TEST_F(LimitsOnTheWire, MessageOfAnOperatorHasAtMostFiveMebibytes) {
  auto admin =
      v1::Admin::NewStub(DialWith(server_.address(), server_.folder() + "/operators/admin"));
  constexpr std::size_t kLimit = 5 * 1024 * 1024;
  const struct {
    std::size_t bytes;
    Code verdict;  // a request without policies, when it is read
  } cases[] = {{kLimit, Code::INVALID_ARGUMENT},
               {kLimit + 1, Code::RESOURCE_EXHAUSTED},
               {20 * kLimit, Code::RESOURCE_EXHAUSTED}};
  for (const auto& test : cases) {
    SCOPED_TRACE(test.bytes);
    grpc::ClientContext context;
    v1::ApplyPoliciesResponse response;
    const grpc::Status done =
        admin->ApplyPolicies(&context, Padded(v1::ApplyPoliciesRequest(), test.bytes), &response);
    EXPECT_EQ(done.error_code(), test.verdict) << done.error_message();
    ExpectOthersGoOn();
  }
}

bool AuditHasRate(const Server& server) {
  for (const Json& row : server.CtlJson({"audit", "list"})) {
    if (row["action"] == "session.refused" && row["object"] == "rate") return true;
  }
  return false;
}

TEST_F(LimitsOnTheWire, T31StormOfReconnectsIsRefusedAndRecorded) {
  const auto channel = Dial(server_, host_);
  int joined = 0;
  int refused = 0;
  for (int i = 0; i < 400; ++i) {
    BareSession session(channel);
    if (session.Join()) {
      ++joined;
      continue;
    }
    const grpc::Status end = session.Finish();
    ASSERT_EQ(end.error_code(), Code::RESOURCE_EXHAUSTED) << end.error_message();
    ++refused;
  }
  EXPECT_GE(joined, 30) << "ten seconds' worth at once";
  EXPECT_GT(refused, 0);
  ExpectOthersGoOn();
  EXPECT_TRUE(Eventually([&] { return AuditHasRate(server_); }));
}

TEST(TokenFile, HasAtMost4096Bytes) {
  TempFolder folder;
  WriteAll(folder.File("agent.yaml"), "registry: reg:host.reg\ndata: data\n");
  for (const std::size_t bytes : {4096u, 4097u, 409'600u}) {
    SCOPED_TRACE(bytes);
    WriteAll(folder.File("token"), "x" + std::string(bytes - 1, '\n'));
    const Finished done =
        RunProgram({Program("dumpwarden-agent"), "enroll", "--config", folder.File("agent.yaml"),
                    "--server", "127.0.0.1:1", "--token-file", folder.File("token")});
    EXPECT_NE(done.exit_code, 0);
    const auto too_large = HasSubstr("larger than the 4096 bytes");
    if (bytes == 4096) {
      EXPECT_THAT(done.err, testing::Not(too_large)) << "it is read, and no token";
      EXPECT_THAT(done.err, HasSubstr("token"));
    } else {
      EXPECT_THAT(done.err, too_large);
    }
  }
}

constexpr char kKernelDumps[] =
    "apiVersion: dumpwarden/v1\n"
    "kind: DumpPolicy\n"
    "metadata: { name: kernel-dumps }\n"
    "spec: { settings: { dump.type: kernel, dump.auto-reboot: on } }\n";

// How many drifts of a setting the server was told of a host, compacted ones included.
int DriftsOf(const Server& server, const Host& host) {
  int drifts = 0;
  for (const Json& drift : server.CtlJson({"drift", "list", "--limit", "10000"})) {
    if (drift["setting"] == "dump.auto-reboot" && drift.dump().find(host.Id()) != std::string::npos)
      ++drifts;
  }
  return drifts;
}

TEST(Flood, T31OfOneHostDelaysNoOtherAndTakesNoMemory) {
  Server server;
  server.Start();
  server.Apply(kKernelDumps);
  Host flooder("flooder");
  ASSERT_EQ(flooder.Enroll(server.CreateToken()).exit_code, 0);
  std::vector<std::unique_ptr<Host>> hosts;
  for (int i = 0; i < 4; ++i) {
    hosts.push_back(std::make_unique<Host>(absl::StrCat("web-", i)));
    hosts.back()->Join(server);
    ASSERT_TRUE(
        Eventually([&] { return hosts.back()->Value("CrashDumpEnabled") == "dword:00000002"; }));
  }
  const std::int64_t before = PeakMib(server);
  BareSession session(Dial(server, flooder));
  ASSERT_TRUE(session.Join());
  BareFlood flood(session, 2000);
  ASSERT_TRUE(Eventually([&] { return AuditHasRate(server); })) << "it was never too fast";
  for (int round = 1; round <= 3; ++round) {
    for (const auto& host : hosts) host->Set("AutoReboot", "dword:00000000");
    for (const auto& host : hosts) {
      ASSERT_TRUE(Eventually([&] { return DriftsOf(server, *host) >= round; })) << round;
      ASSERT_TRUE(Eventually([&] { return host->Value("AutoReboot") == "dword:00000001"; }));
    }
  }
  const std::uint64_t acknowledged = flood.acknowledged();
  EXPECT_GE(acknowledged, 150u) << "it is read, if slowly";
  EXPECT_LT(acknowledged, 2000u) << "the others were to report while it lasts";
  ASSERT_TRUE(Eventually([&] { return flood.acknowledged() > acknowledged; })) << "it goes on";
  flood.Stop();
  if (kMemoryTells) {
    EXPECT_LE(PeakMib(server) - before, 64);
  }
}

}  // namespace
}  // namespace dumpwarden
