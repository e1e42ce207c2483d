// SPDX-License-Identifier: Apache-2.0
// One counter of calls for all fakes of a test, so that "the n-th call fails"
// walks through everything that an operation does outside itself.
#ifndef DUMPWARDEN_TESTS_SUPPORT_FAULTS_H_
#define DUMPWARDEN_TESTS_SUPPORT_FAULTS_H_

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace dumpwarden {

// Faults decides which call fails.  A persistent fault fails every later call
// too: to the code under test that is the same as being killed at that call.
class Faults {
 public:
  virtual ~Faults() = default;
  void FailOnce(int nth) { Arm(nth, false); }
  void FailFrom(int nth) { Arm(nth, true); }
  void Clear() { Arm(0, false); }

  // To be asked by a fake at the start of each call.
  virtual absl::Status Check(absl::string_view call) {
    ++calls_;
    if (nth_ == 0 || calls_ < nth_ || (!persistent_ && calls_ > nth_)) return absl::OkStatus();
    fired_ = true;
    return absl::InternalError(absl::StrCat("injected fault in ", call));
  }
  bool fired() const { return fired_; }
  int calls() const { return calls_; }

 private:
  void Arm(int nth, bool persistent) {
    nth_ = nth;
    persistent_ = persistent;
    calls_ = 0;
    fired_ = false;
  }
  int nth_ = 0;
  bool persistent_ = false;
  int calls_ = 0;
  bool fired_ = false;
};

}  // namespace dumpwarden

#endif  // DUMPWARDEN_TESTS_SUPPORT_FAULTS_H_
