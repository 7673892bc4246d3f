// The face that Python sees: addresses in, addresses out, so that one build fits every torch.
#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <stdexcept>
#include <tuple>

#include "bind_history.hpp"
#include "philox.hpp"
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

// Eight numbers an edit: addresses and strides as in `Edit`, and its mode.
std::vector<Edit> edits_of(const std::vector<int64_t>& numbers) {
    if (numbers.size() % 8) throw std::invalid_argument("eight numbers an edit");
    std::vector<Edit> edits;
    for (size_t i = 0; i < numbers.size(); i += 8) {
        const int64_t* const n = numbers.data() + i;
        edits.push_back({reinterpret_cast<const int64_t*>(n[0]), n[1], n[2], n[3],
                         reinterpret_cast<const float*>(n[4]), n[5], n[6], static_cast<Mode>(n[7])});
    }
    return edits;
}

using Rows = std::tuple<Address, bool, int64_t, int64_t, int64_t, int>;  // as in `Batch`
using Counters = std::tuple<Address, Address, Address, uint32_t>;        // keys, samples, steps; the purpose

Batch batch_of(const Rows& rows, const std::vector<int64_t>& edits) {
    const auto& [data, bf16, count, vocab, stride, threads] = rows;
    return {reinterpret_cast<const void*>(data), bf16, count, vocab, stride, threads, edits_of(edits)};
}

// The flags of a thread's last call, until Python asks for them: mostly there are none.
thread_local std::vector<uint8_t> last_flags;

Answers answers_of(const Batch& batch, Address tokens) {
    last_flags.assign(batch.rows, 0);
    return {reinterpret_cast<int64_t*>(tokens), last_flags.data()};
}

// How many rows are flagged.
int64_t flagged(const Batch& batch, const Answers& answers) {
    return std::count_if(answers.flags, answers.flags + batch.rows, [](uint8_t flag) { return flag != 0; });
}

}  // namespace

NB_MODULE(_native, module) {
    // A daemon thread's frame outlives the interpreter and keeps its plan, and so our objects: nobody's counting is
    // wrong, and nanobind's page of it would end a run of which the user has been told already.
    nb::set_leak_warnings(false);
    nb::class_<Chain>(module, "Chain")
        .def(nb::init<const Words&, const std::vector<double>&, const std::string&>())
        .def("pick_uniform",
             [](const Chain& chain, const Rows& rows, const std::vector<int64_t>& edits, Address uniform, Address tokens) {
                 chain.must_cut();
                 const Batch batch = batch_of(rows, edits);
                 const Answers answers = answers_of(batch, tokens);
                 nb::gil_scoped_release free;
                 pick_row(batch, chain.parts, chain.margins, *chain.loops, reinterpret_cast<const double*>(uniform),
                          answers);
                 return flagged(batch, answers);
             })
        .def("pick_row",
             [](const Chain& chain, const Rows& rows, const std::vector<int64_t>& edits, const Counters& counters,
                Address tokens) {
                 chain.must_cut();
                 const auto& [keys, samples, steps, purpose] = counters;
                 const Batch batch = batch_of(rows, edits);
                 const Answers answers = answers_of(batch, tokens);
                 nb::gil_scoped_release free;
                 thread_local std::vector<double> uniform;
                 uniform.resize(batch.rows);
                 for (int64_t row = 0; row < batch.rows; ++row)
                     uniform[row] = uniform_of(reinterpret_cast<const int64_t*>(keys)[row],
                                               reinterpret_cast<const int64_t*>(samples)[row],
                                               reinterpret_cast<const int64_t*>(steps)[row], purpose);
                 pick_row(batch, chain.parts, chain.margins, *chain.loops, uniform.data(), answers);
                 return flagged(batch, answers);
             })
        .def("pick_torch",
             [](const Chain& chain, const Rows& rows, const std::vector<int64_t>& edits, Address state, Address tokens) {
                 chain.must_cut();
                 const Batch batch = batch_of(rows, edits);
                 const Answers answers = answers_of(batch, tokens);
                 nb::gil_scoped_release free;
                 pick_torch(batch, chain.parts, chain.margins, *chain.loops, reinterpret_cast<uint8_t*>(state),
                            answers);
                 return flagged(batch, answers);
             })
        .def_prop_ro("isa", [](const Chain& chain) { return std::string(chain.loops->name); });
    module.def("pick_best", [](const Rows& rows, const std::vector<int64_t>& edits, double heat, bool alone, Address tokens) {
        const Batch batch = batch_of(rows, edits);
        const Answers answers = answers_of(batch, tokens);
        nb::gil_scoped_release free;
        pick_best(batch, loops(), heat, alone, answers);
        return flagged(batch, answers);
    });
    module.def("last_flags", [](Address flags) {
        std::copy(last_flags.begin(), last_flags.end(), reinterpret_cast<uint8_t*>(flags));
    });
    module.def("edit", [](Address scores, int64_t rows, int64_t vocab, const std::vector<int64_t>& numbers) {
        const std::vector<Edit> edits = edits_of(numbers);
        nb::gil_scoped_release free;
        thread_local std::vector<float> old;
        for (const Edit& part : edits)
            for (int64_t row = 0; row < rows; ++row)
                edit(reinterpret_cast<float*>(scores) + row * vocab, vocab, part, row, old);
    });
    module.def("uniforms", [](Address state, Address places, int64_t count, int64_t draws, Address out) {
        Twister twister(reinterpret_cast<uint8_t*>(state), loops());
        twister.uniforms(reinterpret_cast<const int32_t*>(places), count, draws, reinterpret_cast<double*>(out));
        twister.store();
    });
    // For tests: what one pass over a row of bfloat16 or float32 finds, (whether it did, mass, moment).
    module.def("survey", [](const std::string& isa, Address data, bool bf16, int64_t count, float scale, Address maxima) {
        const Loops* const of = loops_named(isa.c_str());
        if (!of) throw std::invalid_argument("this processor does not run " + isa);
        const Scores scores{reinterpret_cast<const void*>(data), bf16, count, nullptr};
        Sums sums{};
        const bool done = scores.typed(*of, [&](const auto& loops, auto* values) {
            return loops.survey(values, count, scale, Want::entropy, reinterpret_cast<float*>(maxima), &sums);
        });
        return std::make_tuple(done, sums.mass, sums.moment);
    });
    bind_history(module);
    module.def("isa", [] { return std::string(loops().name); });
    module.attr("state_bytes") = kStateBytes;
}
