#include "twister.hpp"

#include <cstring>

namespace decodery {

namespace {
// The layout of at::CPUGeneratorImplStateLegacy: seed (8), left (4), seeded (4), next (8), 624 words of 8 bytes.
constexpr int64_t kLeft = 8, kNext = 16, kWords = 24, kCount = 624;
}  // namespace

Twister::Twister(uint8_t* bytes, const Loops& loops) : bytes_(bytes), loops_(loops) {
    int32_t left;
    uint64_t next;
    std::memcpy(&left, bytes + kLeft, sizeof left);
    std::memcpy(&next, bytes + kNext, sizeof next);
    for (int64_t i = 0; i < kCount; ++i) {
        uint64_t word;
        std::memcpy(&word, bytes + kWords + 8 * i, sizeof word);
        words_[i] = static_cast<uint32_t>(word);
    }
    // torch refills when `left` falls to 0; a fresh generator has left = 1.
    next_ = left == 1 ? kCount : static_cast<int64_t>(next);
}

void Twister::store() {
    const int32_t left = static_cast<int32_t>(kCount - next_ + 1);
    const uint64_t next = static_cast<uint64_t>(next_);
    std::memcpy(bytes_ + kLeft, &left, sizeof left);
    std::memcpy(bytes_ + kNext, &next, sizeof next);
    for (int64_t i = 0; i < kCount; ++i) {
        const uint64_t word = words_[i];
        std::memcpy(bytes_ + kWords + 8 * i, &word, sizeof word);
    }
}

void Twister::refill() {
    loops_.twist(words_);
    next_ = 0;
}

uint32_t Twister::word(int64_t index) const {
    uint32_t y = words_[index];
    y ^= y >> 11;
    y ^= (y << 7) & 0x9d2c5680u;
    y ^= (y << 15) & 0xefc60000u;
    return y ^ (y >> 18);
}

void Twister::uniforms(const int32_t* places, int64_t count, int64_t draws, double* out) {
    const int64_t total = 2 * draws;  // a float64 takes two words, the high one first
    int64_t begin = 0;                // the index of words_[next_] among the words to come
    int64_t i = 0;
    uint32_t high = 0;
    bool half = false;  // the high word was the last one before a refill
    while (begin < total) {
        if (next_ == kCount) refill();
        const int64_t here = kCount - next_ < total - begin ? kCount - next_ : total - begin;
        while (i < count) {
            const int64_t at = 2 * static_cast<int64_t>(places[i]) - begin;
            if (!half) {
                if (at >= here) break;
                high = word(next_ + at);
                half = true;
            }
            if (at + 1 >= here) break;
            const uint64_t bits = (static_cast<uint64_t>(high) << 32) | word(next_ + at + 1);
            out[i++] = static_cast<double>(bits & ((1ull << 53) - 1)) * 0x1.0p-53;
            half = false;
        }
        next_ += here;
        begin += here;
    }
}

}  // namespace decodery
