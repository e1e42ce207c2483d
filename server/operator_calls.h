// SPDX-License-Identifier: Apache-2.0
// How many calls of one operator run at a time: each holds a thread, and one
// operator must not have them all.  Thread-safe.
#ifndef DUMPWARDEN_SERVER_OPERATOR_CALLS_H_
#define DUMPWARDEN_SERVER_OPERATOR_CALLS_H_

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

namespace dumpwarden {

class OperatorCalls {
 public:
  explicit OperatorCalls(int most) : most_(most) {}

  // A call runs as long as this.
  class Running {
   public:
    Running(OperatorCalls& calls, std::string id) : calls_(calls), id_(std::move(id)) {}
    ~Running() { calls_.End(id_); }
    Running(const Running&) = delete;
    Running& operator=(const Running&) = delete;

   private:
    OperatorCalls& calls_;
    const std::string id_;
  };

  // Null when this operator has as many as it may.
  std::unique_ptr<Running> Begin(const std::string& id) {
    const std::lock_guard lock(mutex_);
    int& running = running_[id];
    if (running >= most_) return nullptr;
    ++running;
    return std::make_unique<Running>(*this, id);
  }

 private:
  void End(const std::string& id) {
    const std::lock_guard lock(mutex_);
    const auto at = running_.find(id);
    if (--at->second == 0) running_.erase(at);
  }

  const int most_;
  std::mutex mutex_;
  std::map<std::string, int> running_;  // only who has a call
};

}  // namespace dumpwarden

#endif  // DUMPWARDEN_SERVER_OPERATOR_CALLS_H_
