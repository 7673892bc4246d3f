// Tokens of many rows at once: edits, candidates, cuts and the draw.
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
    std::vector<Edit> edits;  // in order, before everything else; the rows themselves stay as they are
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

// The smallest id among the best; a flag of 1 where the best is not a number or not finite. `heat` is the product of
// the temperatures that the reference divides by (0: none): what comes so near that it may round to the best is
// flagged. `alone` flags a best token that is not the only one.
void pick_best(const Batch& batch, const Loops& loops, double heat, bool alone, const Answers& answers);

// In place on one float32 row; `old` is scratch.
void edit(float* row, int64_t vocab, const Edit& edit, int64_t place, std::vector<float>& old);

}  // namespace decodery
