#define DECODERY_ISA avx2
#define DECODERY_LANES 8
#include "loops.inc"
