// SPDX-License-Identifier: Apache-2.0
// One thread writes.  What is queued commits together; each job stands or
// falls alone, and nobody hears of success before the commit.  A simulation,
// which must be the same each time, is that one thread itself: Writer::kPumped.
#ifndef DUMPWARDEN_SERVER_STORE_GROUP_COMMIT_H_
#define DUMPWARDEN_SERVER_STORE_GROUP_COMMIT_H_

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "platform/sqlite.h"

namespace dumpwarden {

class GroupCommit {
 public:
  using Work = std::function<absl::Status(Database&)>;
  using Done = std::function<void(absl::Status)>;
  static constexpr std::size_t kMaxQueued = 10'000;
  static constexpr std::size_t kMaxTogether = 1'000;

  // kPumped: there is one thread in all, and what was submitted waits for Pump.
  enum class Writer { kOwnThread, kPumped };

  explicit GroupCommit(std::unique_ptr<Database> db, Writer writer = Writer::kOwnThread);
  // Commits what is queued, brings it from the WAL into the file, and stops.  What `done` submits
  // meanwhile is refused (kUnavailable).
  ~GroupCommit();

  // `done` comes on the writer's thread, also with kResourceExhausted when 10,000 jobs wait.
  void Submit(Work work, Done done);
  // Waits for the commit, however many jobs wait.  May be called from a `done`, which runs it at
  // once.
  absl::Status Commit(const Work& work);
  // kPumped only: commits what is queued.
  void Pump();

 private:
  struct Job {
    Work work;
    Done done;
  };
  void Enqueue(Job job, std::size_t room);
  bool OnWriter() const;  // in a `done`
  bool HasJobs();
  void Run();
  bool CommitOnce(bool& busy);  // false when it was the last time
  std::vector<Job> TakeBatch(bool expect_more);
  void CommitBatch(std::vector<Job>& batch);

  const std::unique_ptr<Database> db_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Job> queue_;
  std::vector<Job> refused_;  // only `done` is run
  bool stopping_ = false;
  bool stopped_ = false;
  bool pumping_ = false;
  std::thread thread_;  // none when pumped
};

}  // namespace dumpwarden

#endif  // DUMPWARDEN_SERVER_STORE_GROUP_COMMIT_H_
