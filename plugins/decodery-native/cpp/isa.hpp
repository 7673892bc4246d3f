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

struct Loops {
    const char* name;
    // Greatest value of each block of kBlock (the last may be short); returns whether there is a NaN.
    bool (*maxima_f32)(const float* values, int64_t count, float* maxima);
    bool (*maxima_bf16)(const uint16_t* values, int64_t count, float* maxima);
    // Sums over a row; `spread` asks for count, first and second, otherwise mass and moment.
    void (*sums_f32)(const float* values, int64_t count, float best, float scale, bool spread, Sums* sums);
    void (*sums_bf16)(const uint16_t* values, int64_t count, float best, float scale, bool spread, Sums* sums);
    // One refill of a Mersenne Twister's 624 words.
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
