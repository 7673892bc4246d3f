#include "patch.hpp"

namespace decodery {

void Patch::clear(int64_t expected) {
    if (static_cast<int64_t>(table_.size()) < 2 * expected || table_.empty()) {
        int bits = 6;
        while ((int64_t{1} << bits) < 2 * expected) ++bits;
        table_.assign(std::size_t{1} << bits, -1);
        mask_ = (uint32_t{1} << bits) - 1;
        shift_ = 32 - bits;
    } else {
        for (const uint32_t at : taken_) table_[at] = -1;
    }
    taken_.clear();
    ids_.clear();
    values_.clear();
    turns_.clear();
    turn_ = 0;
    odd_ = false;
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
