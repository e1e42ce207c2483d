// SPDX-License-Identifier: Apache-2.0
// The SQLite schema as a list of steps, oldest first.  A step that has been
// released is never edited: add one.
#ifndef DUMPWARDEN_SERVER_STORE_SCHEMA_H_
#define DUMPWARDEN_SERVER_STORE_SCHEMA_H_

#include <vector>

#include "absl/strings/string_view.h"

namespace dumpwarden {

std::vector<absl::string_view> Migrations();

}  // namespace dumpwarden

#endif  // DUMPWARDEN_SERVER_STORE_SCHEMA_H_
