#include "isa.hpp"

#include <cstring>

namespace decodery {

namespace {
#ifdef DECODERY_X86
bool has_avx512() {
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}
bool has_avx2() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }
#endif

const Loops& choose() {
#ifdef DECODERY_X86
    if (has_avx512()) return avx512_loops();
    if (has_avx2()) return avx2_loops();
#endif
    return plain_loops();
}
}  // namespace

const Loops& loops() {
    static const Loops& chosen = choose();
    return chosen;
}

const Loops* loops_named(const char* name) {
    if (!std::strcmp(name, "plain")) return &plain_loops();
#ifdef DECODERY_X86
    if (!std::strcmp(name, "avx2") && has_avx2()) return &avx2_loops();
    if (!std::strcmp(name, "avx512") && has_avx512()) return &avx512_loops();
#endif
    return nullptr;
}

}  // namespace decodery
