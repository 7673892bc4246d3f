#define DECODERY_ISA avx512
#define DECODERY_LANES 16
#include "loops.inc"
