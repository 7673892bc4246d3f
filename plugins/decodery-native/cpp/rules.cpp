// The truncations, as in decodery/kernels/rules.py: what rounding could decide stays and is marked unsure.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "row.hpp"

namespace decodery {

namespace {

double total_of(const std::vector<double>& weights) { return std::accumulate(weights.begin(), weights.end(), 0.0); }

// Sums over what is left: of the whole row, or of the candidates once they are all of it.
double log_mass(const Row& row, Whole& whole, Scratch& scratch) {
    if (!whole.complete) return whole.log_mass();
    row.weights(scratch.weights);
    return std::log(total_of(scratch.weights));
}

double entropy(const Row& row, Whole& whole, Scratch& scratch) {
    if (!whole.complete) return whole.entropy();
    row.weights(scratch.weights);
    const double total = total_of(scratch.weights);
    double moment = 0;
    for (int64_t i = 0; i < row.size(); ++i)
        moment += scratch.weights[i] * static_cast<double>(row.values[i] - row.values[0]);
    return std::log(total) - moment / total;
}

double deviation(const Row& row, Whole& whole) {
    if (!whole.complete) return whole.deviation();
    double first = 0, second = 0;
    for (const float value : row.values) {
        const double distance = static_cast<double>(value - row.values[0]);
        first += distance;
        second += distance * distance;
    }
    const double count = static_cast<double>(row.size()), mean = first / count;
    return std::sqrt(std::max(0.0, second / count - mean * mean));
}

void cut_k(Row& row, const Part& part, Scratch& scratch) {
    const int64_t kept = std::max<int64_t>(static_cast<int64_t>(part.value), part.min_keep);
    if (kept >= row.size()) return;
    const float last = row.values[kept - 1];
    scratch.kept.assign(row.size(), 0);
    for (int64_t i = 0; i < row.size(); ++i) scratch.kept[i] = row.values[i] >= last;
    row.keep(scratch.kept);
}

void cut_mass(Row& row, Whole& whole, const Part& part, const Margins& margins, Scratch& scratch) {
    row.weights(scratch.weights);
    const double total = whole.complete ? total_of(scratch.weights) : std::exp(whole.log_mass());
    const double bound = 1 - part.value;
    double above = 0;
    int64_t sure = 0, possible = 0;  // both are prefixes
    for (int64_t i = 0; i < row.size(); ++i) {
        const double tail = 1 - above / total;
        if (i < part.min_keep || tail > bound + margins.mass) sure = i + 1;
        if (i < part.min_keep || tail > bound - margins.mass) possible = i + 1;
        above += scratch.weights[i];
    }
    const float last = row.values[possible - 1];
    const bool some = sure < row.size();
    const float doubtful = some ? row.values[sure] : 0;
    scratch.kept.assign(row.size(), 0);
    for (int64_t i = 0; i < row.size(); ++i) {
        scratch.kept[i] = row.values[i] >= last;
        if (some && row.values[i] <= doubtful) row.unsure[i] = 1;
    }
    row.outgrown = !whole.complete && scratch.kept[row.size() - 1];
    row.keep(scratch.kept);
}

// Keep what is possible and the min_keep best. Where ties do not all stay, which of them does is an accident.
template <typename Sure, typename Possible>
void keep_best(Row& row, const Part& part, bool ties_stay, Scratch& scratch, Sure sure, Possible possible) {
    const int64_t end = row.size(), kept = std::min<int64_t>(part.min_keep, end);
    const float last = row.values[kept - 1];
    const bool split = !ties_stay && kept > 1 && kept < end && row.values[kept] == last;
    scratch.kept.assign(end, 0);
    for (int64_t i = 0; i < end; ++i) {
        const bool best = row.values[i] >= last, certain = sure(i);
        scratch.kept[i] = best || possible(i);
        if (scratch.kept[i] && !certain && (!best || (split && row.values[i] == last))) row.unsure[i] = 1;
    }
    row.keep(scratch.kept);
}

void cut_ratio(Row& row, const Part& part, const Margins& margins, Scratch& scratch) {
    row.weights(scratch.weights);
    const double sure = part.value * (1 + margins.ratio), possible = part.value * (1 - margins.ratio);
    keep_best(row, part, false, scratch, [&](int64_t i) { return scratch.weights[i] > sure; },
              [&](int64_t i) { return scratch.weights[i] > possible; });
}

void at_least(Row& row, Whole& whole, const Part& part, double bound, double margin, Scratch& scratch) {
    const bool rough = whole.rough && !whole.complete;
    const double mass = rough ? 0 : std::exp(log_mass(row, whole, scratch));
    if (!rough) row.weights(scratch.weights);  // else `bound` has asked for them
    const double sure = bound * (1 + margin) * (rough ? whole.high : mass);
    const double possible = bound * (1 - margin) * (rough ? whole.low : mass);
    keep_best(row, part, true, scratch, [&](int64_t i) { return scratch.weights[i] > sure; },
              [&](int64_t i) { return scratch.weights[i] > possible; });
}

void cut_sigma(Row& row, Whole& whole, const Part& part, const Margins& margins, Scratch& scratch) {
    const double reach = part.value * deviation(row, whole);
    const float best = row.values[0];
    const double margin = margins.sigma * (1e-2 + reach) + 1e-6 * std::abs(static_cast<double>(best));
    auto over = [&](int64_t i) { return static_cast<double>(row.values[i] - best) + reach; };
    keep_best(row, part, true, scratch, [&](int64_t i) { return over(i) > margin; },
              [&](int64_t i) { return over(i) > -margin; });
}

void cut_typical(Row& row, Whole& whole, const Part& part, const Margins& margins, Scratch& scratch) {
    const double heat = entropy(row, whole, scratch), log = log_mass(row, whole, scratch);
    if (!std::isfinite(heat)) {
        row.flagged = true;
        return;
    }
    row.weights(scratch.weights);
    const int64_t end = row.size();
    const double mass = std::exp(log), blur = 4 * margins.entropy * (1 + heat);
    auto surprise = [&](int64_t i) { return log - static_cast<double>(row.values[i] - row.values[0]); };
    scratch.distance.resize(end);
    scratch.places.resize(end);
    for (int64_t i = 0; i < end; ++i) scratch.distance[i] = std::abs(surprise(i) - heat);
    std::iota(scratch.places.begin(), scratch.places.end(), 0);
    std::stable_sort(scratch.places.begin(), scratch.places.end(),
                     [&](int32_t a, int32_t b) { return scratch.distance[a] < scratch.distance[b]; });
    auto sorted = [&](int64_t i) { return scratch.distance[scratch.places[i]]; };
    double sum = 0;
    int64_t low = 0, high = 0;
    for (int64_t i = 0; i < end; ++i) {
        sum += scratch.weights[scratch.places[i]] / mass;
        if (sum < part.value - margins.mass) low = i + 1;
        if (sum < part.value + margins.mass) high = i + 1;
    }
    low = std::min(low, end - 1);
    high = std::min(high, end - 1);
    const double near = sorted(low), far = sorted(high);
    // One token (or several with one score) at the cut, and no other near it: the order there is beyond doubt.
    bool clear = low == high;
    for (int64_t i = 0; i < end && clear; ++i)
        clear = scratch.distance[i] == near || std::abs(scratch.distance[i] - near) > blur;
    if (!whole.complete && !(surprise(end - 1) - heat > far + blur)) {
        row.outgrown = true;
        return;
    }
    const int64_t kept = std::min<int64_t>(part.min_keep, end);
    const double last = sorted(kept - 1);
    const bool apart = kept == end || sorted(kept) - last > blur;
    scratch.kept.assign(end, 0);
    for (int64_t i = 0; i < end; ++i) {
        const double away = scratch.distance[i];
        bool sure = clear ? away <= near : away <= near - blur;
        bool possible = clear ? away <= near : away <= far + blur;
        if (kept > 1) {
            sure |= away <= last && (apart || away < last - blur);
            possible |= away <= last + blur;
        }
        scratch.kept[i] = possible;
        if (possible && !sure) row.unsure[i] = 1;
    }
    row.keep(scratch.kept);
}

}  // namespace

void cut(Row& row, Whole& whole, const Part& part, const Margins& margins, Scratch& scratch) {
    // What stays could change what this rule counts or sums. Only the best token matters to a ratio.
    if (row.doubt && part.kind != Kind::ratio) row.flagged = true;
    switch (part.kind) {
        case Kind::k: return cut_k(row, part, scratch);
        case Kind::mass: return cut_mass(row, whole, part, margins, scratch);
        case Kind::ratio: return cut_ratio(row, part, margins, scratch);
        case Kind::floor: return at_least(row, whole, part, part.value, margins.floor, scratch);
        case Kind::eta: {
            const double heat = entropy(row, whole, scratch);
            const double bound = std::min(part.value, std::sqrt(part.value) * std::exp(-heat));
            return at_least(row, whole, part, bound, margins.floor + margins.entropy * (1 + heat), scratch);
        }
        case Kind::sigma: return cut_sigma(row, whole, part, margins, scratch);
        case Kind::typical: return cut_typical(row, whole, part, margins, scratch);
        default: return;
    }
}

}  // namespace decodery
