// One row's candidates: collected from the whole row, then cut by a chain of rules.
#pragma once
#include <cstdint>
#include <vector>

#include "isa.hpp"
#include "patch.hpp"

namespace decodery {

enum class Kind : int32_t { temperature, renormalise, k, mass, ratio, floor, eta, sigma, typical };

struct Part {
    Kind kind;
    double value;
    int64_t min_keep;
};

// A row as the model gave it, and what edits made of some of its scores (null: of none).
struct Scores {
    const void* data;
    bool bf16;
    int64_t count;
    Patch* patch;

    float given(int64_t i) const {
        return bf16 ? from_bf16(static_cast<const uint16_t*>(data)[i]) : static_cast<const float*>(data)[i];
    }
    // work(loops, values) in the type of the scores.
    template <typename Work>
    auto typed(const Loops& loops, Work work) const {
        return bf16 ? work(loops.bf16, static_cast<const uint16_t*>(data))
                    : work(loops.f32, static_cast<const float*>(data));
    }
};

// The margins of decodery.kernels.certificate, handed over so that they are written down once.
struct Margins {
    double race, mass, ratio, floor, entropy, sigma, weight, loose;
};

struct Row {
    std::vector<float> values;    // descending
    std::vector<int32_t> ids;
    std::vector<uint8_t> unsure;  // rounding could decide whether the token stays
    bool flagged = false;         // the reference must decide the row
    bool outgrown = false;        // more tokens stay than are looked at here
    bool loose = false;           // a map may have rounded otherwise than the step would
    bool doubt = false;           // some token is unsure
    bool rough = false;           // unsure for want of the row's mass: `run_chain` with `sum` knows more

    int64_t size() const { return static_cast<int64_t>(values.size()); }
    void weights(std::vector<double>& out) const;  // exp(value - best), the difference in float32
    void keep(const std::vector<uint8_t>& kept);   // drop the others
};

// Buffers that are used again for every row of a thread.
struct Scratch {
    std::vector<float> maxima, order, dense, inside;
    std::vector<uint64_t> keys;
    std::vector<double> weights, distance;
    std::vector<int32_t> places, found, slots;
    std::vector<uint8_t> kept;
    Patch patch;
    Row row;
};

// What is known of the whole row.
struct Whole {
    const Scores* scores;
    const Loops* loops;
    float best = 0;         // as it is in the row
    double temperature = 1;  // product of the temperatures so far
    bool complete = false;  // the candidates are all that is left of it
    bool moment = false;    // some rule asks for the entropy
    bool have_mass = false, have_spread = false;
    bool rough = false;     // the mass is only known to lie between these
    double low = 0, high = 0;
    Sums sums{};
    Sums spread{};

    // Fills scratch.maxima, one for each block of the row, and `best`; `summing` says that log_mass or entropy will be
    // asked for. False where there is no best to speak of: a NaN, an infinite score, or everything banned.
    bool look(bool summing, Scratch& scratch);
    // `low` and `high` from the maxima alone; better ones once everything of at least `threshold` is in `row`.
    void bound(Scratch& scratch);
    void bound(const Row& row, float threshold, Scratch& scratch);
    double log_mass();
    double entropy();
    double deviation();
};

// Fills scratch.maxima, one for each block of the row, edits included, and tells the best of them; returns whether the
// row has a NaN.
bool find_maxima(const Scores& scores, const Loops& loops, Scratch& scratch, float* best);

// Of scratch.places, blocks, the values that are in them, edits included: fills scratch.inside, kBlock a place (-inf
// behind the row's end), and drops places that occur again.
void look_inside(const Scores& scores, Scratch& scratch);

// A value that at least `rank` values are no less than (1 is the greatest), through the maxima of the blocks; -inf
// where the row is shorter.
float ranked(const Scores& scores, const Loops& loops, Scratch& scratch, int64_t rank);

// Everything of at least `threshold`, sorted: value descending, id ascending. False where that is more than `most`.
bool collect(const Scores& scores, const Loops& loops, float threshold, int64_t most, Scratch& scratch, Row& row);

// Whether the chain asks for a sum over the whole row; those do not know edits.
bool sums_up(const std::vector<Part>& chain);

// How much is known of the row's mass. Where the chain is one floor, block maxima bound it: a token between what the
// bounds allow is unsure, and it is seldom the one that is drawn.
enum class Mass { bounded, summed };

// The chain, whose first truncation needs `whole`. Fills `row`.
void run_chain(const Scores& scores, const std::vector<Part>& chain, const Loops& loops, const Margins& margins,
               Scratch& scratch, Row& row, Mass mass);

// rules.cpp: one truncation each; `whole` is asked only while it is not complete.
void cut(Row& row, Whole& whole, const Part& part, const Margins& margins, Scratch& scratch);

}  // namespace decodery
