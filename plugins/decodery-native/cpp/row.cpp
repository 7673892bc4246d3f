#include "row.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>

namespace decodery {

namespace {

constexpr int64_t kMost = 4096;  // more candidates than that: the dense path is as fast
constexpr int64_t kGuess = 128;  // how many candidates a cut of unknown depth begins with, at least
constexpr float kLeast = -std::numeric_limits<float>::infinity();

// Ascending keys are descending values, equal values by ascending id.
uint64_t key_of(float value, int32_t id) {
    uint32_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    bits = bits & 0x80000000u ? ~bits : bits | 0x80000000u;
    return static_cast<uint64_t>(~bits) << 32 | static_cast<uint32_t>(id);
}

// A value that at least `rank` values are no less than (1 is the greatest): the rank-th block maximum, or the rank-th
// value itself where there are not so many blocks. -inf where the row is shorter.
float ranked(const Scores& scores, Scratch& scratch, int64_t rank) {
    if (rank >= scores.count) return kLeast;
    if (rank < static_cast<int64_t>(scratch.maxima.size())) {
        scratch.order = scratch.maxima;
    } else {
        scratch.order.resize(scores.count);
        for (int64_t i = 0; i < scores.count; ++i) scratch.order[i] = scores.at(i);
    }
    std::nth_element(scratch.order.begin(), scratch.order.begin() + (rank - 1), scratch.order.end(),
                     std::greater<float>());
    return scratch.order[rank - 1];
}

// A little below, so that no value further down can be rounded up to what is collected.
float lowered(double threshold) {
    return static_cast<float>(threshold - std::abs(threshold) * 1e-6 - 1e-30);
}

}  // namespace

void Row::weights(std::vector<double>& out) const {
    out.resize(values.size());
    for (size_t i = 0; i < values.size(); ++i) {
        const float distance = values[i] - values[0];
        out[i] = std::exp(static_cast<double>(distance));
    }
}

void Row::keep(const std::vector<uint8_t>& kept) {
    size_t end = 0;
    doubt = false;
    for (size_t i = 0; i < values.size(); ++i) {
        if (!kept[i]) continue;
        values[end] = values[i];
        ids[end] = ids[i];
        unsure[end] = unsure[i];
        doubt |= unsure[i] != 0;
        ++end;
    }
    values.resize(end);
    ids.resize(end);
    unsure.resize(end);
}

double Whole::log_mass() {
    if (!have_mass) {
        const float scale = static_cast<float>(1 / temperature);
        if (scores->bf16)
            loops->sums_bf16(static_cast<const uint16_t*>(scores->data), scores->count, best, scale, false, &sums);
        else
            loops->sums_f32(static_cast<const float*>(scores->data), scores->count, best, scale, false, &sums);
        have_mass = true;
    }
    return std::log(sums.mass);
}

double Whole::entropy() {
    const double log = log_mass();
    return log - sums.moment / sums.mass;
}

double Whole::deviation() {
    if (!have_spread) {
        const float scale = static_cast<float>(1 / temperature);
        if (scores->bf16)
            loops->sums_bf16(static_cast<const uint16_t*>(scores->data), scores->count, best, scale, true, &spread);
        else
            loops->sums_f32(static_cast<const float*>(scores->data), scores->count, best, scale, true, &spread);
        have_spread = true;
    }
    const double mean = spread.first / spread.count;
    return std::sqrt(std::max(0.0, spread.second / spread.count - mean * mean));
}

bool collect(const Scores& scores, float threshold, int64_t most, Scratch& scratch, Row& row) {
    scratch.keys.clear();
    const int64_t blocks = static_cast<int64_t>(scratch.maxima.size());
    for (int64_t b = 0; b < blocks; ++b) {
        if (!(scratch.maxima[b] >= threshold)) continue;
        const int64_t end = std::min(scores.count, (b + 1) * kBlock);
        for (int64_t i = b * kBlock; i < end; ++i) {
            const float value = scores.at(i);
            if (value >= threshold && value > kLeast) scratch.keys.push_back(key_of(value, static_cast<int32_t>(i)));
        }
        if (static_cast<int64_t>(scratch.keys.size()) > most) return false;
    }
    std::sort(scratch.keys.begin(), scratch.keys.end());
    const size_t count = scratch.keys.size();
    row.values.resize(count);
    row.ids.resize(count);
    row.unsure.assign(count, 0);
    for (size_t i = 0; i < count; ++i) {
        row.ids[i] = static_cast<int32_t>(scratch.keys[i] & 0xffffffffu);
        row.values[i] = scores.at(row.ids[i]);
    }
    return true;
}

namespace {

void apply_map(Row& row, const Part& part, Whole& whole, Scratch& scratch) {
    if (part.kind == Kind::temperature) {
        const float by = static_cast<float>(part.value);
        for (float& value : row.values) value = value / by;
        whole.temperature *= part.value;
        return;
    }
    row.weights(scratch.weights);
    double mass = 0;
    for (const double weight : scratch.weights) mass += weight;
    const float best = row.values[0];
    for (float& value : row.values) value = static_cast<float>(static_cast<double>(value - best) - std::log(mass));
    row.loose = true;
}

// Where the first truncation cuts at the latest, among the raw values; where that is not known before it is tried, a
// first guess. `open` says that it is a guess.
double first_threshold(const Part& first, Whole& whole, const Margins& margins, Scratch& scratch, bool& open) {
    const double heat = whole.temperature;
    const double least = first.min_keep > 1 ? ranked(*whole.scores, scratch, first.min_keep) : whole.best;
    open = false;
    double at = least;
    switch (first.kind) {
        case Kind::k:
            return ranked(*whole.scores, scratch,
                          std::max<int64_t>(static_cast<int64_t>(first.value), first.min_keep));
        case Kind::ratio:
            at = whole.best + heat * (std::log(first.value) - 2 * margins.ratio);
            break;
        case Kind::floor:
            at = whole.best + heat * (std::log(first.value) + whole.log_mass() - 2 * margins.floor);
            break;
        case Kind::eta: {
            const double entropy = whole.entropy();
            const double bound = std::min(first.value, std::sqrt(first.value) * std::exp(-entropy));
            at = whole.best + heat * (std::log(bound) + whole.log_mass() -
                                      2 * (margins.floor + margins.entropy * (1 + entropy)));
            break;
        }
        case Kind::sigma: {
            const double reach = first.value * whole.deviation();
            at = whole.best - heat * (reach + 2 * margins.sigma * (0.01 + reach)) - 4e-6 * std::abs(whole.best);
            break;
        }
        default:
            open = true;
            at = ranked(*whole.scores, scratch, kGuess);
    }
    return std::min(at, least);
}

}  // namespace

void run_chain(const Scores& scores, const std::vector<Part>& chain, const Loops& loops, const Margins& margins,
               Scratch& scratch, Row& row) {
    row = Row{std::move(row.values), std::move(row.ids), std::move(row.unsure)};
    scratch.maxima.resize((scores.count + kBlock - 1) / kBlock);
    const bool nan =
        scores.bf16 ? loops.maxima_bf16(static_cast<const uint16_t*>(scores.data), scores.count, scratch.maxima.data())
                    : loops.maxima_f32(static_cast<const float*>(scores.data), scores.count, scratch.maxima.data());
    Whole whole{&scores, &loops};
    whole.best = *std::max_element(scratch.maxima.begin(), scratch.maxima.end());
    if (nan || !std::isfinite(whole.best)) {
        row.flagged = true;
        return;
    }
    size_t first = 0;
    double heat = 1;
    for (; first < chain.size() && chain[first].kind == Kind::temperature; ++first) heat *= chain[first].value;
    whole.temperature = heat;
    bool open = false;
    double threshold = first_threshold(chain[first], whole, margins, scratch, open);
    const float raw_best = whole.best;
    for (int tries = 0;; ++tries) {
        if (!collect(scores, lowered(threshold), kMost, scratch, row)) {
            row.flagged = row.outgrown = true;
            return;
        }
        whole.complete = threshold == kLeast;  // nothing was left out
        whole.temperature = 1;
        row.doubt = false;
        for (size_t i = 0; i < first; ++i) apply_map(row, chain[i], whole, scratch);
        // The sums are taken of (value - best) / temperature, which is what the mapped values differ by.
        whole.best = raw_best;
        if (!std::isfinite(row.values[0])) {
            row.flagged = true;
            return;
        }
        row.outgrown = false;
        cut(row, whole, chain[first], margins, scratch);
        if (!row.outgrown) break;
        if (!open || tries == 6) {
            row.flagged = true;
            return;
        }
        row.flagged = false;
        threshold -= heat;
    }
    whole.complete = true;
    for (size_t i = first + 1; i < chain.size(); ++i) {
        if (chain[i].kind == Kind::temperature || chain[i].kind == Kind::renormalise)
            apply_map(row, chain[i], whole, scratch);
        else
            cut(row, whole, chain[i], margins, scratch);
    }
    if (row.values.empty() || !std::isfinite(row.values[0])) row.flagged = true;
}

}  // namespace decodery
