#include "plan.hpp"

#if defined(__x86_64__)
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#else
#pragma GCC target("avx2,fma")
#endif
#define GOLF_NAME "avx2"
#define GOLF_WIDTH 8
#define GOLF_REGISTERS 16
#include "kernels.inc"
#if defined(__clang__)
#pragma clang attribute pop
#endif

const golf::Kernels* golf::kernels_avx2() {
  static const bool here = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  return here ? &golf::whole::table : nullptr;
}
#else
const golf::Kernels* golf::kernels_avx2() { return nullptr; }
#endif
