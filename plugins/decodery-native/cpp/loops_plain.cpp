#define DECODERY_ISA plain
#define DECODERY_LANES 4
#include "loops.inc"
