// Tokens of many rows at once: candidates, cuts and the draw.
#pragma once
#include <cstdint>
#include <vector>

#include "row.hpp"
#include "twister.hpp"

namespace decodery {

struct Batch {
    const void* data;  // (R, V), rows `stride` values apart
    bool bf16;
    int64_t rows, vocab, stride;
    int threads;
};

// Where the answers go: (R,) each. A flag of 1 asks for the reference; 2 says as well that the row was too flat.
struct Answers {
    int64_t* tokens;
    uint8_t* flags;
};

// The row generator's draw, by the inverse of the cumulative weights in the order of ids; uniform (R,).
void pick_row(const Batch& batch, const std::vector<Part>& chain, const Margins& margins, const Loops& loops,
              const double* uniform, const Answers& answers);

// torch.multinomial's draw, argmax(p / q). `state` is the generator's; it advances by R x V draws.
void pick_torch(const Batch& batch, const std::vector<Part>& chain, const Margins& margins, const Loops& loops,
                uint8_t* state, const Answers& answers);

// The smallest id among the best; a flag of 1 where the best is not a number or not finite.
void pick_best(const Batch& batch, const Loops& loops, const Answers& answers);

// In place on float32 rows. ids (1 or R, E), values (1 or R, 1 or E); ids outside the vocabulary are skipped.
// mode: 0 add, 1 set, 2 scale by sign.
void edit(float* scores, int64_t rows, int64_t vocab, const int64_t* ids, int64_t id_rows, int64_t count,
          const float* values, int64_t value_rows, int64_t value_columns, int mode, std::vector<float>& old);

}  // namespace decodery
