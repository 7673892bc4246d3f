#pragma once
#include <nanobind/nanobind.h>

namespace decodery {

void bind_history(nanobind::module_& module);

}  // namespace decodery
