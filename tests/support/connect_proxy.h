// SPDX-License-Identifier: Apache-2.0
// An HTTP proxy that knows CONNECT only.  Every name is 127.0.0.1 to it, so
// that who dials a name that nobody else can resolve went through it.
#ifndef DUMPWARDEN_TESTS_SUPPORT_CONNECT_PROXY_H_
#define DUMPWARDEN_TESTS_SUPPORT_CONNECT_PROXY_H_

#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace dumpwarden {

class ConnectProxy {
 public:
  // `refuses`: answers 403 to everything.
  explicit ConnectProxy(bool refuses = false);
  ~ConnectProxy();
  ConnectProxy(const ConnectProxy&) = delete;
  ConnectProxy& operator=(const ConnectProxy&) = delete;

  std::string address() const;
  std::vector<std::string> Asked() const;  // HOST:PORT of each CONNECT

 private:
  void Accept();
  void Serve(int client);

  const bool refuses_;
  const int listener_;
  int port_ = 0;
  mutable std::mutex mutex_;
  std::vector<std::string> asked_;
  std::vector<int> sockets_;  // shut down at the end
  std::vector<std::thread> serving_;
  bool stopping_ = false;
  std::thread accepting_;  // last: it uses all of the above
};

}  // namespace dumpwarden

#endif  // DUMPWARDEN_TESTS_SUPPORT_CONNECT_PROXY_H_
