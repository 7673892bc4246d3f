// The face that Python sees: addresses in, addresses out, so that one build fits every torch.
#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <stdexcept>
#include <tuple>

#include "pick.hpp"

namespace nb = nanobind;
using namespace decodery;

namespace {

using Address = uintptr_t;
using Words = std::vector<std::tuple<int, double, int64_t>>;

// A chain and its margins, made once for each plan.
struct Chain {
    std::vector<Part> parts;
    Margins margins;
    const Loops* loops;

    Chain(const Words& words, const std::vector<double>& m, const std::string& isa) {
        if (m.size() != 8) throw std::invalid_argument("eight margins");
        margins = {m[0], m[1], m[2], m[3], m[4], m[5], m[6], m[7]};
        for (const auto& [kind, value, min_keep] : words) {
            if (kind < 0 || kind > static_cast<int>(Kind::typical)) throw std::invalid_argument("an unknown kind");
            parts.push_back({static_cast<Kind>(kind), value, min_keep});
        }
        loops = isa.empty() ? &decodery::loops() : loops_named(isa.c_str());
        if (!loops) throw std::invalid_argument("this processor does not run " + isa);
    }
    void must_cut() const {
        for (const Part& part : parts) {
            if (part.kind == Kind::renormalise) break;
            if (part.kind != Kind::temperature) return;
        }
        throw std::invalid_argument("a chain begins with temperatures and a truncation");
    }
};

Batch batch_of(Address data, bool bf16, int64_t rows, int64_t vocab, int64_t stride, int threads) {
    return {reinterpret_cast<const void*>(data), bf16, rows, vocab, stride, threads};
}

Answers answers_of(Address tokens, Address flags) {
    return {reinterpret_cast<int64_t*>(tokens), reinterpret_cast<uint8_t*>(flags)};
}

}  // namespace

NB_MODULE(_native, module) {
    nb::class_<Chain>(module, "Chain")
        .def(nb::init<const Words&, const std::vector<double>&, const std::string&>())
        .def("pick_row",
             [](const Chain& chain, Address data, bool bf16, int64_t rows, int64_t vocab, int64_t stride, int threads,
                Address uniform, Address tokens, Address flags) {
                 chain.must_cut();
                 nb::gil_scoped_release free;
                 pick_row(batch_of(data, bf16, rows, vocab, stride, threads), chain.parts, chain.margins, *chain.loops,
                          reinterpret_cast<const double*>(uniform), answers_of(tokens, flags));
             })
        .def("pick_torch",
             [](const Chain& chain, Address data, bool bf16, int64_t rows, int64_t vocab, int64_t stride, int threads,
                Address state, Address tokens, Address flags) {
                 chain.must_cut();
                 nb::gil_scoped_release free;
                 pick_torch(batch_of(data, bf16, rows, vocab, stride, threads), chain.parts, chain.margins,
                            *chain.loops, reinterpret_cast<uint8_t*>(state), answers_of(tokens, flags));
             })
        .def_prop_ro("isa", [](const Chain& chain) { return std::string(chain.loops->name); });
    module.def("pick_best", [](Address data, bool bf16, int64_t rows, int64_t vocab, int64_t stride, int threads,
                               Address tokens, Address flags) {
        nb::gil_scoped_release free;
        pick_best(batch_of(data, bf16, rows, vocab, stride, threads), loops(), answers_of(tokens, flags));
    });
    module.def("edit", [](Address scores, int64_t rows, int64_t vocab, Address ids, int64_t id_rows, int64_t count,
                          Address values, int64_t value_rows, int64_t value_columns, int mode) {
        nb::gil_scoped_release free;
        thread_local std::vector<float> old;
        edit(reinterpret_cast<float*>(scores), rows, vocab, reinterpret_cast<const int64_t*>(ids), id_rows, count,
             reinterpret_cast<const float*>(values), value_rows, value_columns, mode, old);
    });
    module.def("uniforms", [](Address state, Address places, int64_t count, int64_t draws, Address out) {
        Twister twister(reinterpret_cast<uint8_t*>(state), loops());
        twister.uniforms(reinterpret_cast<const int32_t*>(places), count, draws, reinterpret_cast<double*>(out));
        twister.store();
    });
    module.def("isa", [] { return std::string(loops().name); });
    module.attr("state_bytes") = kStateBytes;
}
