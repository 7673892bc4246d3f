#include "pick.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>
#include <thread>

namespace decodery {

namespace {

// Beyond one edit to so many scores a copy of the row costs less than a table of them.
constexpr int64_t kSparse = 32;
// How near to the best a score may round to it, relative to its size and to the temperature; twice what a float32
// quotient can be off. More than kMany so near: the reference may look at them.
constexpr double kNear = 8e-6;
constexpr int64_t kMany = 256;

// One row with its edits: beside it where they are few, in a copy where they are many or `dense` asks for one.
Scores row_of(const Batch& batch, int64_t row, bool dense, Scratch& scratch) {
    const int64_t size = batch.bf16 ? 2 : 4;
    Scores scores{static_cast<const char*>(batch.data) + row * batch.stride * size, batch.bf16, batch.vocab, nullptr};
    int64_t touched = 0;
    for (const Edit& part : batch.edits) touched += part.count;
    if (!touched) return scores;
    if (!dense && touched <= batch.vocab / kSparse) {
        scratch.patch.clear(touched);
        for (const Edit& part : batch.edits)
            scratch.patch.apply(part, row, batch.vocab, [&](int32_t id) { return scores.given(id); });
        scores.patch = &scratch.patch;
        return scores;
    }
    scratch.dense.resize(batch.vocab);
    if (batch.bf16)
        for (int64_t i = 0; i < batch.vocab; ++i) scratch.dense[i] = scores.given(i);
    else
        std::memcpy(scratch.dense.data(), scores.data, batch.vocab * sizeof(float));
    for (const Edit& part : batch.edits) edit(scratch.dense.data(), batch.vocab, part, row, scratch.order);
    return {scratch.dense.data(), false, batch.vocab, nullptr};
}

// work(row, scratch) for every row, spread over threads where there are enough.
template <typename Work>
void for_rows(const Batch& batch, Work work) {
    const int64_t threads = std::max<int64_t>(1, std::min<int64_t>(batch.threads, batch.rows / 2));
    auto some = [&](int64_t first) {
        thread_local Scratch scratch;
        for (int64_t row = first; row < batch.rows; row += threads) work(row, scratch);
    };
    std::vector<std::thread> others;
    for (int64_t t = 1; t < threads; ++t) others.emplace_back(some, t);
    some(0);
    for (std::thread& other : others) other.join();
}

uint8_t flag_of(const Row& row) { return row.outgrown ? 2 : row.flagged ? 1 : 0; }

// Candidates by ascending id.
void by_id(const Row& row, std::vector<int32_t>& places) {
    places.resize(row.size());
    std::iota(places.begin(), places.end(), 0);
    std::sort(places.begin(), places.end(), [&](int32_t a, int32_t b) { return row.ids[a] < row.ids[b]; });
}

void draw_inverse(const Row& row, double uniform, const Margins& margins, Scratch& scratch, int64_t* token,
                  uint8_t* flag) {
    // The row generator's draw takes differences in float64, softmax in float32.
    scratch.weights.resize(row.size());
    for (int64_t i = 0; i < row.size(); ++i)
        scratch.weights[i] = std::exp(static_cast<double>(row.values[i]) - static_cast<double>(row.values[0]));
    by_id(row, scratch.places);
    double total = 0, unsure = 0;
    for (const int32_t place : scratch.places) {
        total += scratch.weights[place];
        if (row.unsure[place]) unsure += scratch.weights[place];
    }
    const double threshold = std::min(uniform * total, std::nextafter(total, 0.0));
    double below = 0, upto = 0;
    size_t i = 0;
    for (; i < scratch.places.size(); ++i) {
        below = upto;
        upto += scratch.weights[scratch.places[i]];
        if (upto > threshold) break;
    }
    i = std::min(i, scratch.places.size() - 1);
    *token = row.ids[scratch.places[i]];
    const double slack = total * (row.loose ? margins.loose : margins.weight) + unsure;
    if (!(threshold - below > slack && upto - threshold > slack)) *flag = 1;
}

// p / q of each candidate, scratch.places being their order; `ids` ascend, and each has its uniform. False where a
// candidate is not among them.
bool divided(const Row& row, const std::vector<int32_t>& ids, const std::vector<double>& uniforms, Scratch& scratch,
             std::vector<double>& quotients) {
    row.weights(scratch.weights);
    quotients.resize(row.size());
    size_t at = 0;
    for (const int32_t place : scratch.places) {
        while (at < ids.size() && ids[at] < row.ids[place]) ++at;
        if (at == ids.size() || ids[at] != row.ids[place]) return false;
        const float q = static_cast<float>(-std::log1p(-uniforms[at]));
        quotients[place] = scratch.weights[place] / static_cast<double>(q);
    }
    return true;
}

void draw_race(const Row& row, const std::vector<double>& quotients, const Margins& margins, int64_t* token,
               uint8_t* flag) {
    double first = -1, second = -1;
    int64_t winner = 0;
    for (int64_t i = 0; i < row.size(); ++i) {
        if (quotients[i] > first) {
            second = first;
            first = quotients[i];
            winner = i;
        } else if (quotients[i] > second) {
            second = quotients[i];
        }
    }
    *token = row.ids[winner];
    const double margin = margins.race + (row.loose ? margins.loose : 0.0);
    if (row.unsure[winner] || !(first * (1 - margin) > second)) *flag = 1;
}

}  // namespace

void pick_row(const Batch& batch, const std::vector<Part>& chain, const Margins& margins, const Loops& loops,
              const double* uniform, const Answers& answers) {
    const bool dense = sums_up(chain);
    for_rows(batch, [&](int64_t r, Scratch& scratch) {
        Row& row = scratch.row;
        // Of a token that may be left out every sum depends: this draw asks for them all.
        run_chain(row_of(batch, r, dense, scratch), chain, loops, margins, scratch, row, Mass::summed);
        answers.flags[r] = flag_of(row);
        answers.tokens[r] = 0;
        if (!answers.flags[r]) draw_inverse(row, uniform[r], margins, scratch, answers.tokens + r, answers.flags + r);
    });
}

void pick_torch(const Batch& batch, const std::vector<Part>& chain, const Margins& margins, const Loops& loops,
                uint8_t* state, const Answers& answers) {
    const bool dense = sums_up(chain);
    thread_local std::vector<Row> rows;
    if (static_cast<int64_t>(rows.size()) < batch.rows) rows.resize(batch.rows);
    Row* const found = rows.data();
    for_rows(batch, [&](int64_t r, Scratch& scratch) {
        run_chain(row_of(batch, r, dense, scratch), chain, loops, margins, scratch, found[r], Mass::bounded);
    });
    // The numbers come one after another: no thread can be ahead of them.
    Twister twister(state, loops);
    thread_local Scratch scratch;
    thread_local std::vector<double> uniforms, quotients;
    thread_local std::vector<int32_t> ids;
    for (int64_t r = 0; r < batch.rows; ++r) {
        const Row& row = found[r];
        answers.flags[r] = flag_of(row);
        answers.tokens[r] = 0;
        const bool drawn = !answers.flags[r];
        by_id(row, scratch.places);
        if (!drawn) scratch.places.clear();
        const int64_t count = static_cast<int64_t>(scratch.places.size());
        ids.resize(count);
        uniforms.resize(count);
        for (int64_t i = 0; i < count; ++i) ids[i] = row.ids[scratch.places[i]];
        twister.uniforms(ids.data(), count, batch.vocab, uniforms.data());
        if (!drawn) continue;
        divided(row, ids, uniforms, scratch, quotients);
        draw_race(row, quotients, margins, answers.tokens + r, answers.flags + r);
        if (!answers.flags[r] || !row.rough) continue;
        Row& again = scratch.row;
        run_chain(row_of(batch, r, dense, scratch), chain, loops, margins, scratch, again, Mass::summed);
        answers.flags[r] = flag_of(again);
        if (answers.flags[r]) continue;
        by_id(again, scratch.places);
        if (divided(again, ids, uniforms, scratch, quotients))
            draw_race(again, quotients, margins, answers.tokens + r, answers.flags + r);
        else
            answers.flags[r] = 1;
    }
    twister.store();
}

void pick_best(const Batch& batch, const Loops& loops, double heat, bool alone, const Answers& answers) {
    for_rows(batch, [&](int64_t r, Scratch& scratch) {
        const Scores scores = row_of(batch, r, false, scratch);
        float top;
        const bool nan = find_maxima(scores, loops, scratch, &top);
        const double best = top;
        answers.tokens[r] = 0;
        answers.flags[r] = nan || !std::isfinite(best);
        if (answers.flags[r]) return;
        const auto block = std::find(scratch.maxima.begin(), scratch.maxima.end(), top) - scratch.maxima.begin();
        scratch.places.assign(1, static_cast<int32_t>(block));
        look_inside(scores, scratch);
        answers.tokens[r] = block * kBlock + (std::find(scratch.inside.begin(), scratch.inside.end(), top) -
                                              scratch.inside.begin());
        if (heat == 0 && !alone) return;
        const double near = heat == 0 ? best : best - kNear * (heat + std::abs(best));
        Row& row = scratch.row;
        if (!collect(scores, loops, static_cast<float>(near), kMany, scratch, row)) {
            answers.flags[r] = 1;
            return;
        }
        for (const float value : row.values)
            if (value != row.values[0] || (alone && row.size() > 1)) answers.flags[r] = 1;
    });
}

void edit(float* row, int64_t vocab, const Edit& edit, int64_t place, std::vector<float>& old) {
    auto id = [&](int64_t i) { return edit.id(place, i); };
    auto inside = [&](int64_t i) { return id(i) >= 0 && id(i) < vocab; };
    old.resize(edit.count);
    // An id may occur again, with an equal value: every edit is of what stood there before.
    for (int64_t i = 0; i < edit.count; ++i) old[i] = inside(i) ? row[id(i)] : 0.0f;
    for (int64_t i = 0; i < edit.count; ++i)
        if (inside(i)) row[id(i)] = edited(old[i], edit.value(place, i), edit.mode);
}

}  // namespace decodery
