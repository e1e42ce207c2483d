// SPDX-License-Identifier: Apache-2.0
// The calls of people that run: each holds a thread, so one person must not
// have them all, and who is revoked loses hers.  Thread-safe.
#ifndef DUMPWARDEN_SERVER_OPERATOR_CALLS_H_
#define DUMPWARDEN_SERVER_OPERATOR_CALLS_H_

#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"

namespace dumpwarden {

// How many calls of a kind run at a time.
struct CallLimit {
  int of_one;
  int of_all;
  // "16 calls of this operator <do> already; <advice>".
  const char* doing;
  const char* advice;
  // What a refusal is counted as, in the log and the audit log.
  const char* too_many_of_one;
  const char* too_many_of_all;
};

class OperatorCalls {
  struct Call {
    const CallLimit* limit;
    std::string id;
    std::function<void()> cut_off;
  };
  using Calls = std::list<Call>;

 public:
  // A call runs as long as this.
  class Running {
   public:
    Running(OperatorCalls& calls, Calls::iterator at) : calls_(calls), at_(at) {}
    ~Running() { calls_.End(at_); }
    Running(const Running&) = delete;
    Running& operator=(const Running&) = delete;

   private:
    OperatorCalls& calls_;
    const Calls::iterator at_;
  };

  // kResourceExhausted when there are as many as there may be.  `cut_off` is to end the call soon;
  // it may not call this object, and may be called until the Running goes.
  absl::StatusOr<std::unique_ptr<Running>> Begin(const CallLimit& limit, const std::string& id,
                                                 std::function<void()> cut_off) {
    const std::lock_guard lock(mutex_);
    int of_one = 0;
    int of_all = 0;
    for (const Call& call : calls_) {
      if (call.limit != &limit) continue;
      ++of_all;
      if (call.id == id) ++of_one;
    }
    if (of_one >= limit.of_one) {
      return Full(limit.of_one, " of this operator", limit, limit.too_many_of_one);
    }
    if (of_all >= limit.of_all) return Full(limit.of_all, "", limit, limit.too_many_of_all);
    calls_.push_back({&limit, id, std::move(cut_off)});
    return std::make_unique<Running>(*this, std::prev(calls_.end()));
  }

  // Of a status of Begin: the limit's word for it.
  static std::string ReasonOf(const absl::Status& full) {
    return std::string(full.GetPayload(kReason).value_or(absl::Cord()));
  }

  // Ends all calls of one; how many.
  int CutOff(const std::string& id) {
    const std::lock_guard lock(mutex_);
    int ended = 0;
    for (const Call& call : calls_) {
      if (call.id != id) continue;
      call.cut_off();
      ++ended;
    }
    return ended;
  }

 private:
  static constexpr char kReason[] = "dumpwarden/reason";

  static absl::Status Full(int most, absl::string_view whose, const CallLimit& limit,
                           const char* reason) {
    absl::Status full = absl::ResourceExhaustedError(
        absl::StrCat(most, " calls", whose, " ", limit.doing, " already; ", limit.advice));
    full.SetPayload(kReason, absl::Cord(reason));
    return full;
  }

  void End(Calls::iterator at) {
    const std::lock_guard lock(mutex_);
    calls_.erase(at);
  }

  std::mutex mutex_;
  Calls calls_;  // at most as many as there are threads
};

}  // namespace dumpwarden

#endif  // DUMPWARDEN_SERVER_OPERATOR_CALLS_H_
