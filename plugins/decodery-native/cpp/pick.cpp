#include "pick.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <thread>

namespace decodery {

namespace {

Scores row_of(const Batch& batch, int64_t row) {
    const int64_t size = batch.bf16 ? 2 : 4;
    return {static_cast<const char*>(batch.data) + row * batch.stride * size, batch.bf16, batch.vocab};
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
    row.weights(scratch.weights);
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
    for_rows(batch, [&](int64_t r, Scratch& scratch) {
        thread_local Row row;
        run_chain(row_of(batch, r), chain, loops, margins, scratch, row);
        answers.flags[r] = flag_of(row);
        answers.tokens[r] = 0;
        if (!answers.flags[r]) draw_inverse(row, uniform[r], margins, scratch, answers.tokens + r, answers.flags + r);
    });
}

void pick_torch(const Batch& batch, const std::vector<Part>& chain, const Margins& margins, const Loops& loops,
                uint8_t* state, const Answers& answers) {
    thread_local std::vector<Row> rows;
    if (static_cast<int64_t>(rows.size()) < batch.rows) rows.resize(batch.rows);
    Row* const found = rows.data();
    for_rows(batch, [&](int64_t r, Scratch& scratch) {
        run_chain(row_of(batch, r), chain, loops, margins, scratch, found[r]);
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
        row.weights(scratch.weights);
        quotients.resize(count);
        for (int64_t i = 0; i < count; ++i) {
            const float q = static_cast<float>(-std::log1p(-uniforms[i]));
            quotients[scratch.places[i]] = scratch.weights[scratch.places[i]] / static_cast<double>(q);
        }
        draw_race(row, quotients, margins, answers.tokens + r, answers.flags + r);
    }
    twister.store();
}

void pick_best(const Batch& batch, const Loops& loops, const Answers& answers) {
    for_rows(batch, [&](int64_t r, Scratch& scratch) {
        const Scores scores = row_of(batch, r);
        scratch.maxima.resize((scores.count + kBlock - 1) / kBlock);
        const bool nan = batch.bf16 ? loops.maxima_bf16(static_cast<const uint16_t*>(scores.data), scores.count,
                                                        scratch.maxima.data())
                                    : loops.maxima_f32(static_cast<const float*>(scores.data), scores.count,
                                                       scratch.maxima.data());
        const auto best = std::max_element(scratch.maxima.begin(), scratch.maxima.end());
        int64_t at = (best - scratch.maxima.begin()) * kBlock;
        const int64_t end = std::min(scores.count, at + kBlock);
        while (at + 1 < end && !(scores.at(at) == *best)) ++at;
        answers.tokens[r] = at;
        answers.flags[r] = nan || !std::isfinite(*best);
    });
}

void edit(float* scores, int64_t rows, int64_t vocab, const int64_t* ids, int64_t id_rows, int64_t count,
          const float* values, int64_t value_rows, int64_t value_columns, int mode, std::vector<float>& old) {
    old.resize(count);
    for (int64_t r = 0; r < rows; ++r) {
        float* const row = scores + r * vocab;
        const int64_t* const touched = ids + (id_rows == 1 ? 0 : r) * count;
        const float* const number = values + (value_rows == 1 ? 0 : r) * value_columns;
        auto inside = [&](int64_t i) { return touched[i] >= 0 && touched[i] < vocab; };
        auto value = [&](int64_t i) { return number[value_columns == 1 ? 0 : i]; };
        // An id may occur again, with an equal value: every edit is of what stood there before.
        for (int64_t i = 0; i < count; ++i) old[i] = inside(i) ? row[touched[i]] : 0.0f;
        for (int64_t i = 0; i < count; ++i) {
            if (!inside(i)) continue;
            const float before = old[i], by = value(i);
            row[touched[i]] = mode == 1 ? by : mode == 0 ? before + by : before < 0 ? before * by : before / by;
        }
    }
}

}  // namespace decodery
