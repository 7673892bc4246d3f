// Histories as Python has them: a row each.
#include <nanobind/nanobind.h>
#include <nanobind/stl/vector.h>

#include "bind_history.hpp"
#include "history.hpp"

namespace nb = nanobind;

namespace decodery {

namespace {

thread_local std::vector<Follower> found;

template <typename Row>
void common(nb::class_<Row> row) {
    row.def("append", &Row::append)
        .def("read",
             [](Row& self, uintptr_t tokens, int64_t count) {
                 const int64_t* const at = reinterpret_cast<const int64_t*>(tokens);
                 nb::gil_scoped_release free;
                 for (int64_t i = 0; i < count; ++i) self.append(static_cast<int32_t>(at[i]));
             })
        .def("undo",
             [](Row& self, int64_t count) {
                 for (int64_t i = 0; i < count; ++i) self.undo();
             })
        .def("copy", [](const Row& self) { return Row(self); })
        // How many there are; `write` gives those of the thread's last `find`.
        .def("find", [](const Row& self) {
            self.followers(found);
            return static_cast<int64_t>(found.size());
        });
}

}  // namespace

void bind_history(nb::module_& module) {
    common(nb::class_<Grams>(module, "Grams").def(nb::init<int64_t>()));
    common(nb::class_<Repeats>(module, "Repeats").def(nb::init<int64_t, int64_t, const std::vector<int64_t>&>()));
    module.def("write", [](uintptr_t ids, uintptr_t values, uintptr_t prices, int64_t least) {
        int64_t* const at = reinterpret_cast<int64_t*>(ids);
        float* const value = reinterpret_cast<float*>(values);
        const float* const price = reinterpret_cast<const float*>(prices);
        for (size_t i = 0; i < found.size(); ++i) {
            at[i] = found[i].token;
            value[i] = price[found[i].length - least];
        }
    });
}

}  // namespace decodery
