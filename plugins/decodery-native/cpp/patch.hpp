// Few scores of a row changed, beside the row: nobody's logits are written to.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

#include "isa.hpp"

namespace decodery {

enum class Mode : int64_t { add, set, scale_by_sign };

// One edit of all rows: ids (1 or R, E), values (1 or R, 1 or E); a stride is 0 where there is one for all.
struct Edit {
    const int64_t* ids;
    int64_t id_stride, id_step, count;
    const float* values;
    int64_t value_stride, value_step;
    Mode mode;

    int64_t id(int64_t row, int64_t i) const { return ids[row * id_stride + i * id_step]; }
    float value(int64_t row, int64_t i) const { return values[row * value_stride + i * value_step]; }
};

inline float edited(float old, float by, Mode mode) {
    switch (mode) {
        case Mode::add: return old + by;
        case Mode::set: return by;
        default: return old < 0 ? old * by : old / by;
    }
}

// Ids and what their scores became. One edit is a list; a table of them, by open addressing, is made when a second one
// comes or something is looked for.
class Patch {
  public:
    void clear(int64_t expected);  // ids to come
    // `old(id)` is the score in the row.
    template <typename Old>
    void apply(const Edit& edit, int64_t row, int64_t vocab, Old old) {
        if (ids_.empty()) {
            append(edit, row, vocab, old);
            return;
        }
        index();
        ++turn_;
        for (int64_t i = 0; i < edit.count; ++i) {
            const int64_t touched = edit.id(row, i);
            if (touched < 0 || touched >= vocab) continue;
            const int32_t id = static_cast<int32_t>(touched);
            bool fresh = false;
            const int32_t place = slot(id, &fresh);
            // An id may occur again, with an equal value: every edit is of what stood there before.
            if (!fresh && turns_[place] == turn_) continue;
            const float value = edited(fresh ? old(id) : values_[place], edit.value(row, i), edit.mode);
            values_[place] = value;
            turns_[place] = turn_;
            odd_ |= value != value;
        }
    }
    void index();  // the table, before anything is looked for; no id occurs twice afterwards
    bool find(int32_t id, float* value) const {
        for (uint32_t at = hash(id);; at = (at + 1) & mask_) {
            const int32_t place = table_[at];
            if (place < 0) return false;
            if (ids_[place] == id) {
                *value = values_[place];
                return true;
            }
        }
    }
    int64_t size() const { return static_cast<int64_t>(ids_.size()); }
    int32_t id(int64_t place) const { return ids_[place]; }
    float value(int64_t place) const { return values_[place]; }
    bool odd() const { return odd_; }  // some value is not a number

  private:
    // An id may occur again, with an equal value, which is written twice.
    template <typename Old>
    void append(const Edit& edit, int64_t row, int64_t vocab, Old old) {
        ids_.resize(edit.count);
        values_.resize(edit.count);
        int64_t end = 0;
        for (int64_t i = 0; i < edit.count; ++i) {
            const int64_t touched = edit.id(row, i);
            if (touched < 0 || touched >= vocab) continue;
            ids_[end] = static_cast<int32_t>(touched);
            values_[end] = edited(old(ids_[end]), edit.value(row, i), edit.mode);
            odd_ |= values_[end] != values_[end];
            ++end;
        }
        ids_.resize(end);
        values_.resize(end);
    }
    uint32_t hash(int32_t id) const { return (static_cast<uint32_t>(id) * 2654435769u) >> shift_; }
    int32_t slot(int32_t id, bool* fresh);

    std::vector<int32_t> table_, ids_, turns_;
    std::vector<uint32_t> taken_;  // places of the table that are in use
    std::vector<float> values_;
    uint32_t mask_ = 0;
    int64_t expected_ = 0;
    int shift_ = 32, turn_ = 0;
    bool odd_ = false, indexed_ = false;
};

}  // namespace decodery
