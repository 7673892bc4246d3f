#include "row.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace decodery {

namespace {

constexpr int64_t kMost = 4096;  // more candidates than that: the dense path is as fast
constexpr int64_t kFew = 1024;   // more than that by the bounds of the row's mass: its sum says who is one
constexpr int64_t kGuess = 128;  // how many candidates a cut of unknown depth begins with, at least
constexpr float kLeast = -std::numeric_limits<float>::infinity();

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

bool Whole::look(bool summing, Scratch& scratch) {
    std::vector<float>& maxima = scratch.maxima;
    maxima.resize((scores->count + kBlock - 1) / kBlock);
    if (summing && !scores->patch) {
        have_mass = scores->typed(*loops, [&](const auto& of, auto* data) {
            return of.survey(data, scores->count, static_cast<float>(1 / temperature),
                             moment ? Want::entropy : Want::mass, maxima.data(), &sums);
        });
        if (have_mass) {
            best = loops->greatest(maxima.data(), static_cast<int64_t>(maxima.size()));
            return true;
        }
    }
    return !find_maxima(*scores, *loops, scratch, &best) && std::isfinite(best);
}

void Whole::bound(Scratch& scratch) {
    Sums of_maxima{};
    const float scale = static_cast<float>(1 / temperature);
    loops->f32.sums(scratch.maxima.data(), static_cast<int64_t>(scratch.maxima.size()), best, scale, Want::mass,
                    &of_maxima);
    low = of_maxima.mass;
    high = of_maxima.mass * kBlock;
}

void Whole::bound(const Row& row, float threshold, Scratch& scratch) {
    // What is not in `row` is less than the threshold, and no greater than its block's greatest.
    const int64_t blocks = static_cast<int64_t>(scratch.maxima.size());
    const int64_t reaching = loops->reaching(scratch.maxima.data(), blocks, threshold);
    for (float& most : scratch.maxima) most = std::min(most, threshold);
    bound(scratch);
    row.weights(scratch.weights);
    double found = 0;
    for (const double weight : scratch.weights) found += weight;
    const double scale = static_cast<float>(1 / temperature);
    low = found + std::max(0.0, low - static_cast<double>(reaching) * std::exp((threshold - best) * scale));
    high += found;
}

double Whole::log_mass() {
    if (!have_mass) {
        const float scale = static_cast<float>(1 / temperature);
        scores->typed(*loops, [&](const auto& of, auto* data) {
            of.sums(data, scores->count, best, scale, moment ? Want::entropy : Want::mass, &sums);
        });
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
        scores->typed(*loops, [&](const auto& of, auto* data) {
            of.sums(data, scores->count, best, scale, Want::spread, &spread);
        });
        have_spread = true;
    }
    const double mean = spread.first / spread.count;
    return std::sqrt(std::max(0.0, spread.second / spread.count - mean * mean));
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
    const double least = first.min_keep > 1 ? ranked(*whole.scores, *whole.loops, scratch, first.min_keep) : whole.best;
    open = false;
    double at = least;
    switch (first.kind) {
        case Kind::k:
            return ranked(*whole.scores, *whole.loops, scratch,
                          std::max<int64_t>(static_cast<int64_t>(first.value), first.min_keep));
        case Kind::ratio:
            at = whole.best + heat * (std::log(first.value) - 2 * margins.ratio);
            break;
        case Kind::floor:
            if (whole.rough) whole.bound(scratch);
            at = whole.best + heat * (std::log(first.value) + (whole.rough ? std::log(whole.low) : whole.log_mass()) -
                                      2 * margins.floor);
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
            at = ranked(*whole.scores, *whole.loops, scratch, kGuess);
    }
    return std::min(at, least);
}

}  // namespace

bool sums_up(const std::vector<Part>& chain) {
    for (const Part& part : chain)
        if (part.kind != Kind::temperature) return part.kind != Kind::k && part.kind != Kind::ratio;
    return false;
}

void run_chain(const Scores& scores, const std::vector<Part>& chain, const Loops& loops, const Margins& margins,
               Scratch& scratch, Row& row, Mass mass) {
    row = Row{std::move(row.values), std::move(row.ids), std::move(row.unsure)};
    size_t first = 0;
    double heat = 1;
    for (; first < chain.size() && chain[first].kind == Kind::temperature; ++first) heat *= chain[first].value;
    Whole whole{&scores, &loops};
    whole.temperature = heat;
    whole.moment = chain[first].kind == Kind::eta || chain[first].kind == Kind::typical;
    whole.rough = mass == Mass::bounded && chain[first].kind == Kind::floor && first + 1 == chain.size();
    if (!whole.look(sums_up(chain) && chain[first].kind != Kind::sigma && !whole.rough, scratch)) {
        row.flagged = true;
        return;
    }
    bool open = false;
    double threshold = first_threshold(chain[first], whole, margins, scratch, open);
    const float raw_best = whole.best;
    for (int tries = 0;; ++tries) {
        const float least = lowered(threshold);
        if (!collect(scores, loops, least, whole.rough ? kFew : kMost, scratch, row)) {
            if (whole.rough) return run_chain(scores, chain, loops, margins, scratch, row, Mass::summed);
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
        if (whole.rough) whole.bound(row, least, scratch);
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
    row.rough = whole.rough;
    if (row.values.empty() || !std::isfinite(row.values[0])) row.flagged = true;
}

}  // namespace decodery
