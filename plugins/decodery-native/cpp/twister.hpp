// torch's CPU generator from outside: its numbers at given places, and its state after so many draws.
#pragma once
#include <cstdint>

#include "isa.hpp"

namespace decodery {

constexpr int64_t kStateBytes = 5056;  // of torch.Generator.get_state()

class Twister {
  public:
    // `bytes` is a state as torch gives it; the numbers go on from there.
    Twister(uint8_t* bytes, const Loops& loops);
    // The u that `torch.rand(n, dtype=float64)` would have at places[i] of the next `draws` numbers, places ascending;
    // the generator stands behind all of them afterwards.
    void uniforms(const int32_t* places, int64_t count, int64_t draws, double* out);
    // Write the state back.
    void store();

  private:
    uint32_t word(int64_t index) const;  // tempered, of the words at hand
    void refill();

    uint8_t* bytes_;
    const Loops& loops_;
    alignas(64) uint32_t words_[640];  // 624, and room for what a refill writes
    int64_t next_;  // the first unused word, 624 where a refill is due
};

}  // namespace decodery
