// SPDX-License-Identifier: Apache-2.0
#include "server/store/group_commit.h"

#include <chrono>
#include <future>
#include <limits>
#include <utility>

namespace dumpwarden {
namespace {

constexpr std::chrono::milliseconds kPatience{5};

absl::Status Stopping() { return absl::UnavailableError("the store is stopping; try again later"); }

absl::Status Full() {
  return absl::ResourceExhaustedError(
      "the store lags behind: 10,000 changes wait to be committed; slow down and send again");
}

}  // namespace

GroupCommit::GroupCommit(std::unique_ptr<Database> db, Writer writer) : db_(std::move(db)) {
  if (writer == Writer::kOwnThread) thread_ = std::thread([this] { Run(); });
}

GroupCommit::~GroupCommit() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) {
    thread_.join();
  } else {
    Pump();
  }
  // What cannot be done now (somebody else reads) is done by who opens the file next.
  db_->Execute("PRAGMA wal_checkpoint(TRUNCATE)").IgnoreError();
}

void GroupCommit::Submit(Work work, Done done) {
  Enqueue({std::move(work), std::move(done)}, kMaxQueued);
}

void GroupCommit::Enqueue(Job job, std::size_t room) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (!stopped_) {
      if (stopping_ || queue_.size() >= room) {
        // Not from here: the caller may hold a lock that `done` wants.
        refused_.push_back({nullptr, std::move(job.done)});
      } else {
        queue_.push_back(std::move(job));
      }
      changed_.notify_all();
      return;
    }
  }
  job.done(Stopping());
}

absl::Status GroupCommit::Commit(const Work& work) {
  absl::Status result;
  if (OnWriter()) {
    std::vector<Job> batch{{work, [&result](absl::Status status) { result = std::move(status); }}};
    CommitBatch(batch);
    return result;
  }
  // Shared: the waiter may wake, and go, before set_value has returned.
  const auto committed = std::make_shared<std::promise<absl::Status>>();
  // Audit, enrolment and orders are never shed: who asks for them waits, so they are few.
  Enqueue({work, [committed](absl::Status status) { committed->set_value(std::move(status)); }},
          std::numeric_limits<std::size_t>::max());
  if (!thread_.joinable()) Pump();
  return committed->get_future().get();
}

bool GroupCommit::OnWriter() const {
  return thread_.joinable() ? std::this_thread::get_id() == thread_.get_id() : pumping_;
}

bool GroupCommit::HasJobs() {
  const std::lock_guard<std::mutex> lock(mutex_);
  return !queue_.empty() || !refused_.empty();
}

void GroupCommit::Pump() {
  pumping_ = true;
  bool busy = false;
  while (HasJobs()) {
    CommitOnce(busy);
    busy = false;  // nobody else adds to the queue
  }
  pumping_ = false;
}

void GroupCommit::Run() {
  bool busy = false;
  while (CommitOnce(busy)) {
  }
}

bool GroupCommit::CommitOnce(bool& busy) {
  std::vector<Job> batch = TakeBatch(busy);
  std::vector<Job> refused;
  bool stopping = false;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    refused.swap(refused_);
    stopping = stopping_;
    stopped_ = stopping && batch.empty() && refused.empty();
    if (stopped_) return false;
  }
  for (const Job& job : refused) job.done(stopping ? Stopping() : Full());
  if (!batch.empty()) CommitBatch(batch);
  busy = batch.size() > 1;
  return true;
}

// A lone job is committed at once; when the last batch had company, more is worth waiting for.
std::vector<GroupCommit::Job> GroupCommit::TakeBatch(bool expect_more) {
  std::unique_lock<std::mutex> lock(mutex_);
  changed_.wait(lock, [this] { return !queue_.empty() || !refused_.empty() || stopping_; });
  if (expect_more && !stopping_) {
    changed_.wait_for(lock, kPatience,
                      [this] { return queue_.size() >= kMaxTogether || stopping_; });
  }
  std::vector<Job> batch;
  while (!queue_.empty() && batch.size() < kMaxTogether) {
    batch.push_back(std::move(queue_.front()));
    queue_.pop_front();
  }
  return batch;
}

void GroupCommit::CommitBatch(std::vector<Job>& batch) {
  std::vector<absl::Status> outcomes;
  const absl::Status commit = db_->Transaction([&] {
    for (const Job& job : batch) {
      outcomes.push_back(db_->Savepoint([&] { return job.work(*db_); }));
    }
    return absl::OkStatus();
  });
  for (std::size_t i = 0; i < batch.size(); ++i) batch[i].done(commit.ok() ? outcomes[i] : commit);
}

}  // namespace dumpwarden
