/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the processor can do, asked at run time: one binary serves every machine of its architecture. The answers come
 * from CPUID, by way of the compiler's own library, which also asks whether the kernel saves the wide registers.
 * No system call, so a sandboxed process may ask at any time.
 */
#pragma once

#include <stdbool.h>

#if defined(__x86_64__) || defined(__i386__)
#define WSP_CPU_X86 1
#elif defined(__aarch64__)
#define WSP_CPU_AARCH64 1 /* NEON is part of it: nothing to ask */
#endif

#if defined(WSP_CPU_X86)
static inline bool wsp_cpu_has_sse2(void) {
  __builtin_cpu_init();
  return __builtin_cpu_supports("sse2") != 0;
}

static inline bool wsp_cpu_has_ssse3(void) {
  __builtin_cpu_init();
  return __builtin_cpu_supports("ssse3") != 0;
}

static inline bool wsp_cpu_has_avx2(void) {
  __builtin_cpu_init();
  return __builtin_cpu_supports("avx2") != 0;
}
#elif defined(WSP_CPU_AARCH64)
static inline bool wsp_cpu_has_neon(void) {
  return true;
}
#endif

static inline bool wsp_cpu_has_c(void) {
  return true;
}
