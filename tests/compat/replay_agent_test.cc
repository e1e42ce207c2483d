// SPDX-License-Identifier: Apache-2.0
// The recorded agent and operator against today's server: a real one, over
// mTLS.  Every message of theirs is sent as it was, and every answer must say
// what it said then.  What is substituted, because the protocol makes it
// unique: the host's id and certificate and the token (the host is enrolled
// anew), and the nonce of a probe.  What is not compared: times that the server
// gives, addresses, secrets, and what only today's answers have.
#include <gmock/gmock.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/util/message_differencer.h>
#include <signal.h>

#include <deque>
#include <map>
#include <set>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "dumpwarden/v1/admin.pb.h"
#include "dumpwarden/v1/enrollment.pb.h"
#include "dumpwarden/v1/session.pb.h"
#include "tests/compat/call.h"
#include "tests/compat/versions.h"
#include "tests/end_to_end/fleet.h"

namespace dumpwarden {
namespace {

namespace pb = google::protobuf;

constexpr char kSession[] = "/dumpwarden.v1.AgentSession/Session";
constexpr char kEnroll[] = "/dumpwarden.v1.Enrollment/Enroll";
constexpr char kCreateToken[] = "/dumpwarden.v1.Admin/CreateToken";

// What each server makes anew.
class Unique : public pb::util::MessageDifferencer::IgnoreCriteria {
 public:
  bool IsIgnored(const pb::Message&, const pb::Message&, const pb::FieldDescriptor* field,
                 const std::vector<pb::util::MessageDifferencer::SpecificField>&) override {
    static const std::set<std::string> kNames = {"AuditEntry.at",
                                                 "AuditEntry.sequence",
                                                 "AuditEntry.source",
                                                 "CreateTokenResponse.address",
                                                 "CreateTokenResponse.expires",
                                                 "CreateTokenResponse.id",
                                                 "CreateTokenResponse.token",
                                                 "Drift.ended_server_time",
                                                 "Drift.server_time",
                                                 "GetHostResponse.host_key",
                                                 "HostSummary.enrolled",
                                                 "HostSummary.last_seen",
                                                 "LoginCode.address",
                                                 "LoginCode.code",
                                                 "LoginCode.expires",
                                                 "LoginCode.id",
                                                 "Person.added",
                                                 "Person.certificate_expires",
                                                 "Person.revoked",
                                                 "PolicySummary.at",
                                                 "Probe.nonce",
                                                 "TokenSummary.ended",
                                                 "TokenSummary.expires",
                                                 "TokenSummary.id"};
    return kNames.contains(field->full_name().substr(sizeof "dumpwarden.v1"));
  }
};

std::unique_ptr<pb::Message> Parse(const pb::Descriptor* type, const std::string& bytes) {
  std::unique_ptr<pb::Message> message(
      pb::MessageFactory::generated_factory()->GetPrototype(type)->New());
  EXPECT_TRUE(message->ParseFromString(bytes)) << type->full_name();
  return message;
}

// Everything that was said then is said today.
void ExpectSame(const pb::Descriptor* type, const std::string& then, const std::string& today) {
  pb::util::MessageDifferencer differencer;
  std::string differences;
  differencer.set_scope(pb::util::MessageDifferencer::PARTIAL);
  differencer.AddIgnoreCriteria(new Unique);
  differencer.ReportDifferencesToString(&differences);
  const auto before = Parse(type, then);
  const auto after = Parse(type, today);
  EXPECT_TRUE(differencer.Compare(*before, *after)) << type->full_name() << "\n" << differences;
}

const pb::Descriptor* AnswerOf(const std::string& method) {
  std::string name = absl::StrReplaceAll(method.substr(1), {{"/", "."}});
  return pb::DescriptorPool::generated_pool()->FindMethodByName(name)->output_type();
}

class Replay {
 public:
  Replay() {
    const std::string file = server_.folder() + "/server.yaml";
    WriteAll(file,
             absl::StrReplaceAll(ReadAll(file), {{"check-in-seconds: 60", "check-in-seconds: 2"}}));
    server_.Start();
    DialBoth();
  }
  ~Replay() {
    if (stopping_.joinable()) stopping_.join();
  }

  void Play(const std::vector<RecordedEntry>& entries) {
    for (const RecordedEntry& recorded : entries) {
      RecordedEntry entry = recorded;
      entry.bytes = absl::StrReplaceAll(entry.bytes, substitutes_);
      SCOPED_TRACE(NameOf(entry));
      if (entry.what == kEnroll) {
        Enroll(entry);
      } else if (entry.sign == '!') {
        if (entry.what == "restart-server") RestartServer();
      } else {
        Step(entry);
      }
      if (testing::Test::HasFailure()) return;
    }
  }
  int compared() const { return compared_; }

 private:
  struct Live {
    std::unique_ptr<Call> call;
    std::deque<std::string> early;  // read, and not asked for yet
  };

  void Step(const RecordedEntry& entry) {
    Live& live = calls_[entry.call];
    if (entry.sign == '>') {
      if (live.call == nullptr) Begin(live, entry.what);
      ASSERT_TRUE(live.call->Write(entry.what == kSession ? Said(entry.bytes) : entry.bytes));
      ASSERT_TRUE(entry.what == kSession || live.call->WritesDone());
    } else if (entry.sign == '<') {
      ++compared_;
      entry.what == kSession ? Hear(live, entry.bytes) : Answer(live, entry);
    } else {
      End(live, entry);
    }
  }

  void Begin(Live& live, const std::string& method) {
    if (stopping_.joinable()) {
      stopping_.join();
      server_.Start();
      DialBoth();
    }
    live.call = std::make_unique<Call>(method == kSession ? *host_stub_ : *admin_, method);
  }

  std::string Said(const std::string& bytes) const {
    v1::AgentMessage message;
    EXPECT_TRUE(message.ParseFromString(bytes));
    if (!message.has_probe_reply()) return bytes;
    message.mutable_probe_reply()->set_nonce(nonce_);
    return message.SerializeAsString();
  }

  // Of the same kind: what the commit of a report and a push say may come in any order.
  void Hear(Live& live, const std::string& then) {
    v1::ServerMessage expected;
    ASSERT_TRUE(expected.ParseFromString(then));
    v1::ServerMessage message;
    for (auto at = live.early.begin(); at != live.early.end(); ++at) {
      ASSERT_TRUE(message.ParseFromString(*at));
      if (message.message_case() != expected.message_case()) continue;
      ExpectSame(v1::ServerMessage::descriptor(), then, *at);
      live.early.erase(at);
      return;
    }
    while (true) {
      const std::optional<std::string> bytes = live.call->Read();
      ASSERT_TRUE(bytes.has_value())
          << "no such answer: " << expected.DebugString() << live.call->Finish().error_message();
      ASSERT_TRUE(message.ParseFromString(*bytes));
      if (message.has_probe()) nonce_ = message.probe().nonce();
      if (message.message_case() == expected.message_case()) {
        return ExpectSame(v1::ServerMessage::descriptor(), then, *bytes);
      }
      live.early.push_back(*bytes);
    }
  }

  void Answer(Live& live, const RecordedEntry& entry) {
    const std::optional<std::string> today = live.call->Read();
    ASSERT_TRUE(today.has_value()) << live.call->Finish().error_message();
    ExpectSame(AnswerOf(entry.what), entry.bytes, *today);
    if (entry.what == kCreateToken) TakeToken(entry.bytes, *today);
  }

  void End(Live& live, const RecordedEntry& entry) {
    const int code = std::stoi(entry.bytes);
    if (code == grpc::StatusCode::CANCELLED) live.call->Cancel();
    EXPECT_EQ(live.call->Finish().error_code(), code);
    EXPECT_TRUE(live.early.empty() || code != grpc::StatusCode::OK)
        << "an answer that was not given then";
    live.call.reset();
  }

  void TakeToken(const std::string& then, const std::string& today) {
    v1::CreateTokenResponse before;
    ASSERT_TRUE(before.ParseFromString(then) && token_.ParseFromString(today));
    substitutes_.push_back({before.id(), token_.id()});
  }

  // By today's agent, whose key the test may use.
  void Enroll(const RecordedEntry& entry) {
    if (entry.sign != '<') return;
    const Finished done = host_.Enroll({{"token", token_.token()}, {"address", token_.address()}});
    ASSERT_EQ(done.exit_code, 0) << done.err;
    enrolled_ = true;
    DialBoth();
    v1::EnrollResponse then;
    ASSERT_TRUE(then.ParseFromString(entry.bytes));
    substitutes_.push_back({then.host_id(), host_.Id()});
  }

  // It says goodbye and waits for hosts to leave, so it needs a thread.
  void RestartServer() {
    stopping_ = std::thread([this] { server_.Kill(SIGTERM); });
  }

  void DialBoth() {
    Dial(admin_, server_.folder() + "/operators/admin");
    if (enrolled_) Dial(host_stub_, host_.File("data/identity"));
  }

  // On a connection of its own: one of before a restart may look alive still.
  void Dial(std::unique_ptr<grpc::GenericStub>& stub, const std::string& folder) const {
    grpc::SslCredentialsOptions options;
    options.pem_root_certs = ReadAll(server_.folder() + "/operators/admin/ca.crt");
    options.pem_cert_chain = ReadAll(folder + "/tls.crt");
    options.pem_private_key = ReadAll(folder + "/tls.key");
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    stub = std::make_unique<grpc::GenericStub>(
        grpc::CreateCustomChannel(server_.address(), grpc::SslCredentials(options), arguments));
  }

  Server server_;
  Host host_{"sql-01"};
  std::unique_ptr<grpc::GenericStub> admin_;
  std::unique_ptr<grpc::GenericStub> host_stub_;
  std::map<std::int64_t, Live> calls_;
  std::vector<std::pair<std::string, std::string>> substitutes_;  // of the same length each
  v1::CreateTokenResponse token_;
  bool enrolled_ = false;
  std::string nonce_;
  std::thread stopping_;
  int compared_ = 0;
};

using ReplayAgentTest = CompatTest;
INSTANTIATE_TEST_SUITE_P(Versions, ReplayAgentTest, testing::ValuesIn(CompatVersions()),
                         VersionName);

TEST_P(ReplayAgentTest, IsAnsweredAsThen) {
  Replay replay;
  replay.Play(RecordingOf(GetParam()));
  EXPECT_GT(replay.compared(), 40);
}

}  // namespace
}  // namespace dumpwarden
