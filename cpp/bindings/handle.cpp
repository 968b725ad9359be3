// SPDX-License-Identifier: Apache-2.0
// What Producer and Consumer share on their way to and from Python.
#include <chrono>
#include <sstream>

#include "bind.hpp"

namespace shmlane::bindings {

py::dict to_dict(const Counters& counters) {
  py::dict dict;
  dict["pushed"] = counters.pushed;
  dict["pushed_bytes"] = counters.pushed_bytes;
  dict["aborted"] = counters.aborted;
  dict["popped"] = counters.popped;
  dict["popped_bytes"] = counters.popped_bytes;
  dict["dropped"] = counters.dropped;
  dict["redelivered"] = counters.redelivered;
  dict["waits"] = counters.waits;
  dict["recovered"] = counters.recovered;
  return dict;
}

py::dict to_dict(const QueueStat& stat) {
  py::dict dict = to_dict(static_cast<const Counters&>(stat));
  dict["capacity"] = stat.capacity;
  dict["used"] = stat.used;
  dict["producers"] = stat.producers;
  dict["consumers"] = stat.consumers;
  return dict;
}

void set_queue_options(QueueOptions& options, const py::object& capacity, const std::string& stale,
                       const py::object& mode, bool unlink) {
  if (!capacity.is_none()) options.capacity = to_unsigned(capacity, "capacity");
  options.stale =
      to_choice<Stale>(stale, "stale", {{"auto", Stale::kAuto}, {"keep", Stale::kKeep}, {"replace", Stale::kReplace}});
  constexpr std::uint64_t kPermissions = 0777;
  const std::uint64_t permissions = to_unsigned(mode, "mode");
  if (permissions > kPermissions) throw InvalidArgument("mode has more than permissions; give 0o600 to 0o777");
  options.mode = static_cast<unsigned>(permissions);
  options.unlink = unlink;
  options.interrupt_check = &interrupt_check;
}

std::string describe_wait(const Timeout& timeout) {
  if (!timeout || *timeout == no_wait) return "";
  std::ostringstream text;
  text << " within " << std::chrono::duration<double>(*timeout).count() << " s";
  return text.str();
}

}  // namespace shmlane::bindings
