#include "plan.hpp"

#if defined(__x86_64__)
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512vl,avx512bw,avx512dq,avx2,fma"))), apply_to = function)
#else
#pragma GCC target("avx512f,avx512vl,avx512bw,avx512dq,avx2,fma,prefer-vector-width=512")
#endif
#define GOLF_NAME "avx512"
#define GOLF_WIDTH 16
#define GOLF_REGISTERS 32
#include "kernels.inc"
#if defined(__clang__)
#pragma clang attribute pop
#endif

const golf::Kernels* golf::kernels_avx512() {
  static const bool here = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
                           __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq");
  return here ? &golf::whole::table : nullptr;
}
#else
const golf::Kernels* golf::kernels_avx512() { return nullptr; }
#endif
