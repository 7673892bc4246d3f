// The row generator's numbers: Philox 4x32-10 (Salmon et al. 2011), as decodery.engine.rng has them.
#pragma once
#include <cstdint>

namespace decodery {

// In [0, 1), of 53 random bits: a function of the row's key and sample, its step, and what the number is for.
inline double uniform_of(int64_t key, int64_t sample, int64_t step, uint32_t purpose) {
    const uint64_t k = static_cast<uint64_t>(key), s = static_cast<uint64_t>(step);
    uint32_t a = static_cast<uint32_t>(s), b = static_cast<uint32_t>(sample), c = purpose,
             d = static_cast<uint32_t>(s >> 32);
    uint32_t low = static_cast<uint32_t>(k), high = static_cast<uint32_t>(k >> 32);
    for (int round = 0; round < 10; ++round) {
        const uint64_t first = uint64_t{a} * 0xd2511f53u, second = uint64_t{c} * 0xcd9e8d57u;
        a = static_cast<uint32_t>(second >> 32) ^ b ^ low;
        c = static_cast<uint32_t>(first >> 32) ^ d ^ high;
        b = static_cast<uint32_t>(second);
        d = static_cast<uint32_t>(first);
        low += 0x9e3779b9u;
        high += 0xbb67ae85u;
    }
    return (static_cast<double>(a >> 5) * 67108864.0 + static_cast<double>(b >> 6)) * 0x1.0p-53;
}

}  // namespace decodery
