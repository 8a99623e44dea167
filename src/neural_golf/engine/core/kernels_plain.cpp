// What the compiler may assume of every machine: SSE2 on x86-64, NEON on arm64.
#include "plan.hpp"

#define GOLF_NAME "plain"
#define GOLF_WIDTH 4
#if defined(__aarch64__)
#define GOLF_REGISTERS 32
#else
#define GOLF_REGISTERS 16
#endif
#include "kernels.inc"

const golf::Kernels* golf::kernels_plain() { return &golf::whole::table; }
