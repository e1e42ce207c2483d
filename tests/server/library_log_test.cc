// SPDX-License-Identifier: Apache-2.0
// What the libraries say about strangers, in our log and not beside it.
#include "server/library_log.h"

#include <gmock/gmock.h>
#include <google/protobuf/stubs/logging.h>
#include <grpc/support/log.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/support/fake_clock.h"

namespace dumpwarden {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

class ListLog final : public Log {
 public:
  std::vector<std::string> lines;

 protected:
  void Write(LogLevel /*level*/, absl::string_view message,
             const std::vector<LogField>& fields) override {
    std::string line(message);
    for (const LogField& field : fields) absl::StrAppend(&line, " ", field.key, "=", field.value);
    lines.push_back(line);
  }
};

void Grpc(const char* message) {
  gpr_log_message("src/core/tsi.cc", 42, GPR_LOG_SEVERITY_ERROR, message);
}

class LibraryLogTest : public testing::Test {
 protected:
  void SetUp() override { gpr_set_log_verbosity(GPR_LOG_SEVERITY_ERROR); }

  FakeClock clock_;
  ListLog log_;
  std::unique_ptr<LibraryLog> library_ = std::make_unique<LibraryLog>(log_, clock_);
};

TEST_F(LibraryLogTest, HoldsWhatGrpcAndProtobufWouldWriteToStderr) {
  testing::internal::CaptureStderr();
  Grpc("Handshake failed");
  GOOGLE_LOG(ERROR) << "bad message";
  EXPECT_THAT(testing::internal::GetCapturedStderr(), IsEmpty());
  EXPECT_THAT(log_.lines, ElementsAre("grpc at=tsi.cc:42 what=Handshake failed count=1",
                                      HasSubstr("what=bad message")));
}

TEST_F(LibraryLogTest, SaysAFloodOnceAMinuteAndNothingIsLostAtTheEnd) {
  for (int i = 0; i < 1000; ++i) Grpc(i < 999 ? "Handshake failed" : "the last one");
  EXPECT_THAT(log_.lines, SizeIs(1));
  library_.reset();
  ASSERT_THAT(log_.lines, SizeIs(2));
  EXPECT_THAT(log_.lines[1], HasSubstr("the last one count=999"));
}

TEST_F(LibraryLogTest, IsSilentWhenItIsGone) {
  library_.reset();
  testing::internal::CaptureStderr();
  Grpc("a thread that goes on for longer");
  EXPECT_THAT(testing::internal::GetCapturedStderr(), IsEmpty());
  EXPECT_THAT(log_.lines, IsEmpty());
}

}  // namespace
}  // namespace dumpwarden
