#include "patch.hpp"

namespace decodery {

void Patch::clear(int64_t expected) {
    expected_ = expected;
    for (const uint32_t at : taken_) table_[at] = -1;
    taken_.clear();
    indexed_ = false;
    ids_.clear();
    values_.clear();
    turns_.clear();
    turn_ = 0;
    odd_ = false;
}

void Patch::index() {
    if (indexed_) return;
    indexed_ = true;
    if (static_cast<int64_t>(table_.size()) < 2 * expected_ || table_.empty()) {
        int bits = 6;
        while ((int64_t{1} << bits) < 2 * expected_) ++bits;
        table_.assign(std::size_t{1} << bits, -1);
        mask_ = (uint32_t{1} << bits) - 1;
        shift_ = 32 - bits;
    }
    const std::size_t count = ids_.size();
    std::size_t end = 0;  // of those that are kept, in place: it is never ahead of what is read
    for (std::size_t i = 0; i < count; ++i) {
        uint32_t at = hash(ids_[i]);
        while (table_[at] >= 0 && ids_[table_[at]] != ids_[i]) at = (at + 1) & mask_;
        if (table_[at] >= 0) continue;
        table_[at] = static_cast<int32_t>(end);
        taken_.push_back(at);
        ids_[end] = ids_[i];
        values_[end++] = values_[i];
    }
    ids_.resize(end);
    values_.resize(end);
    turns_.assign(end, turn_);
}

int32_t Patch::slot(int32_t id, bool* fresh) {
    uint32_t at = hash(id);
    for (; table_[at] >= 0; at = (at + 1) & mask_)
        if (ids_[table_[at]] == id) return table_[at];
    *fresh = true;
    table_[at] = static_cast<int32_t>(ids_.size());
    taken_.push_back(at);
    ids_.push_back(id);
    values_.push_back(0);
    turns_.push_back(0);
    return table_[at];
}

}  // namespace decodery
