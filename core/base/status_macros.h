// SPDX-License-Identifier: Apache-2.0
// RETURN_IF_ERROR and ASSIGN_OR_RETURN: Abseil 20220623 has neither.
#ifndef DUMPWARDEN_CORE_BASE_STATUS_MACROS_H_
#define DUMPWARDEN_CORE_BASE_STATUS_MACROS_H_

#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#define RETURN_IF_ERROR(expr)                              \
  do {                                                     \
    absl::Status dumpwarden_status = (expr);               \
    if (!dumpwarden_status.ok()) return dumpwarden_status; \
  } while (false)

#define DUMPWARDEN_CONCAT_INNER(a, b) a##b
#define DUMPWARDEN_CONCAT(a, b) DUMPWARDEN_CONCAT_INNER(a, b)

#define ASSIGN_OR_RETURN(lhs, expr) \
  DUMPWARDEN_ASSIGN_OR_RETURN(DUMPWARDEN_CONCAT(dumpwarden_or_, __LINE__), lhs, expr)

#define DUMPWARDEN_ASSIGN_OR_RETURN(tmp, lhs, expr) \
  auto tmp = (expr);                                \
  if (!tmp.ok()) return tmp.status();               \
  lhs = std::move(tmp).value()

#endif  // DUMPWARDEN_CORE_BASE_STATUS_MACROS_H_
