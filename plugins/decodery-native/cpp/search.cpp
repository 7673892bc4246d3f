// The best of a whole row: block maxima, a threshold, and everything above it.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>

#include "row.hpp"

namespace decodery {

namespace {

constexpr float kLeast = -std::numeric_limits<float>::infinity();

// Descending values have ascending orders.
uint32_t order_of(float value) {
    uint32_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    return ~(bits & 0x80000000u ? ~bits : bits | 0x80000000u);
}

float value_of(uint32_t order) {
    uint32_t bits = ~order;
    bits = bits & 0x80000000u ? bits & 0x7fffffffu : ~bits;
    float value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
}

// Ascending keys are descending values, equal values by ascending id. A zero's sign is no difference.
uint64_t key_of(float value, int32_t id) {
    return static_cast<uint64_t>(order_of(value + 0.0f)) << 32 | static_cast<uint32_t>(id);
}

// A value that at least `rank` of these are no less than, and not many more. Halving the range of all floats takes 32
// looks at most, each of which costs some ten nanoseconds a thousand values.
float about(const std::vector<float>& values, const Loops& loops, int64_t rank) {
    const int64_t count = static_cast<int64_t>(values.size()), enough = rank + rank / 8;
    uint32_t low = 0, high = order_of(kLeast);  // orders: `high` has the rank, `low` may not
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        const int64_t found = loops.reaching(values.data(), count, value_of(middle));
        if (found >= rank) {
            high = middle;
            if (found <= enough) break;
        } else {
            low = middle + 1;
        }
    }
    return value_of(high);
}

}  // namespace

bool find_maxima(const Scores& scores, const Loops& loops, Scratch& scratch, float* best) {
    std::vector<float>& maxima = scratch.maxima;
    const auto greatest = [&] { return loops.greatest(maxima.data(), static_cast<int64_t>(maxima.size())); };
    maxima.resize((scores.count + kBlock - 1) / kBlock);
    bool odd = scores.typed(loops, [&](const auto& of, auto* data) { return of.maxima(data, scores.count, maxima.data()); });
    if (!scores.patch) {
        *best = greatest();
        return odd;
    }
    scratch.places.clear();  // blocks whose greatest value went down
    for (int64_t i = 0; i < scores.patch->size(); ++i) {
        const int32_t id = scores.patch->id(i);
        const float value = scores.patch->value(i);
        float& most = maxima[id / kBlock];
        if (value >= most)
            most = value;
        else if (scores.given(id) >= most)
            scratch.places.push_back(static_cast<int32_t>(id / kBlock));
    }
    if (!scratch.places.empty()) look_inside(scores, scratch);
    for (size_t i = 0; i < scratch.places.size(); ++i)
        maxima[scratch.places[i]] = loops.greatest(scratch.inside.data() + i * kBlock, kBlock);
    *best = greatest();
    return odd || scores.patch->odd();
}

void look_inside(const Scores& scores, Scratch& scratch) {
    const size_t blocks = (scores.count + kBlock - 1) / kBlock;
    if (scratch.slots.size() < blocks) scratch.slots.resize(blocks, -1);  // of each block, its place; none between calls
    size_t end = 0;
    for (const int32_t block : scratch.places) {
        if (scratch.slots[block] >= 0) continue;
        scratch.slots[block] = static_cast<int32_t>(end);
        scratch.places[end++] = block;
    }
    scratch.places.resize(end);
    scratch.inside.assign(end * kBlock, kLeast);
    for (size_t k = 0; k < end; ++k) {
        const int64_t first = scratch.places[k] * kBlock, last = std::min(scores.count, first + kBlock);
        for (int64_t i = first; i < last; ++i) scratch.inside[k * kBlock + i - first] = scores.given(i);
    }
    for (int64_t i = 0; scores.patch && i < scores.patch->size(); ++i) {
        const int32_t id = scores.patch->id(i), slot = scratch.slots[id / kBlock];
        if (slot >= 0) scratch.inside[slot * kBlock + id % kBlock] = scores.patch->value(i);
    }
    for (const int32_t block : scratch.places) scratch.slots[block] = -1;
}

float ranked(const Scores& scores, const Loops& loops, Scratch& scratch, int64_t rank) {
    if (rank >= scores.count) return kLeast;
    if (rank < static_cast<int64_t>(scratch.maxima.size())) return about(scratch.maxima, loops, rank);
    scratch.order.resize(scores.count);
    for (int64_t i = 0; i < scores.count; ++i) scratch.order[i] = scores.given(i);
    if (scores.patch)
        for (int64_t i = 0; i < scores.patch->size(); ++i) scratch.order[scores.patch->id(i)] = scores.patch->value(i);
    std::nth_element(scratch.order.begin(), scratch.order.begin() + (rank - 1), scratch.order.end(),
                     std::greater<float>());
    return scratch.order[rank - 1];
}

bool collect(const Scores& scores, const Loops& loops, float threshold, int64_t most, Scratch& scratch, Row& row) {
    // Nothing that is banned is a candidate.
    const float least = std::max(threshold, -std::numeric_limits<float>::max());
    if (static_cast<int64_t>(scratch.found.size()) < most + kBlock) scratch.found.resize(most + kBlock);
    const int64_t found = scores.typed(loops, [&](const auto& of, auto* data) {
        return of.collect(data, scores.count, scratch.maxima.data(), least, most, scratch.found.data());
    });
    if (found < 0) return false;
    scratch.keys.clear();
    if (scores.patch) scores.patch->index();
    float value;
    for (int64_t i = 0; i < found; ++i) {
        const int32_t id = scratch.found[i];
        if (!scores.patch || !scores.patch->find(id, &value)) scratch.keys.push_back(key_of(scores.given(id), id));
    }
    if (scores.patch) {
        for (int64_t i = 0; i < scores.patch->size(); ++i)
            if (scores.patch->value(i) >= least)
                scratch.keys.push_back(key_of(scores.patch->value(i), scores.patch->id(i)));
        if (static_cast<int64_t>(scratch.keys.size()) > most) return false;
    }
    std::sort(scratch.keys.begin(), scratch.keys.end());
    const size_t count = scratch.keys.size();
    row.values.resize(count);
    row.ids.resize(count);
    row.unsure.assign(count, 0);
    for (size_t i = 0; i < count; ++i) {
        row.ids[i] = static_cast<int32_t>(scratch.keys[i] & 0xffffffffu);
        row.values[i] = value_of(static_cast<uint32_t>(scratch.keys[i] >> 32));
    }
    return true;
}

}  // namespace decodery
