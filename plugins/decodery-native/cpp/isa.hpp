// The loops over whole rows, by instruction set. No standard templates are instantiated in their files, so that no
// code for a newer processor can be linked into what runs on an older one.
#pragma once
#include <cstdint>

namespace decodery {

constexpr int64_t kBlock = 64;  // values to a block maximum

struct Sums {
    double mass;      // sum of exp(d), d = (value - best) * scale
    double moment;    // sum of d * exp(d)
    double count;     // values that are not -inf
    double first;     // sum of d over them
    double second;    // sum of d * d over them
};

enum class Want { mass, entropy, spread };  // of Sums: mass; mass and moment; the others

template <typename T>
struct LoopsOf {
    // Greatest value of each block of kBlock (the last may be short); returns whether there is a NaN.
    bool (*maxima)(const T* values, int64_t count, float* maxima);
    // `maxima`, and `sums` with the row's best, in one pass; they need not agree in their last bits. False, and nothing
    // said, where two passes must do it: something is not finite, the row is short or too steep.
    bool (*survey)(const T* values, int64_t count, float scale, Want want, float* maxima, Sums* sums);
    // The places of at least `threshold`, ascending, looked for in blocks that have one; -1 where there are more than
    // `most`. `places` has room for most + kBlock.
    int64_t (*collect)(const T* values, int64_t count, const float* maxima, float threshold, int64_t most,
                       int32_t* places);
    void (*sums)(const T* values, int64_t count, float best, float scale, Want want, Sums* sums);
};

struct Loops {
    const char* name;
    LoopsOf<float> f32;
    LoopsOf<uint16_t> bf16;
    float (*greatest)(const float* values, int64_t count);  // a NaN is passed by
    // How many of these values are at least `threshold`.
    int64_t (*reaching)(const float* values, int64_t count, float threshold);
    // One refill of a Mersenne Twister's 624 words, which lie at a cache line's begin and have room
    // for 16 more behind them.
    void (*twist)(uint32_t* state);
};

const Loops& loops();        // the fastest that this processor runs
const Loops* loops_named(const char* name);  // for tests; null where it cannot run here

const Loops& plain_loops();
const Loops& avx2_loops();
const Loops& avx512_loops();

inline float from_bf16(uint16_t bits) {
    union {
        uint32_t word;
        float value;
    } as{static_cast<uint32_t>(bits) << 16};
    return as.value;
}

}  // namespace decodery
