#pragma once

// What only an instruction can do, and Swift has no word for.

/// Asks for the cache line at `address` to be brought into the second cache. Any address will do.
static inline void cpu_prefetch(const void *address) { __builtin_prefetch(address, 0, 2); }

/// The same for the first cache.
static inline void cpu_prefetch_first(const void *address) { __builtin_prefetch(address, 0, 3); }

#if defined(__linux__)
// <sched.h> and <fcntl.h> declare these only where GNU's extensions are asked for before anything is included.
int sched_getcpu(void);
int sched_getaffinity(int thread, unsigned long size, void *set);
int sched_setaffinity(int thread, unsigned long size, const void *set);
int fallocate(int descriptor, int mode, long offset, long count);
#endif

// Which vectors the CPU has and the system saves.

#if defined(__x86_64__)
#include <cpuid.h>

/// The mask of states that the system saves for each thread (XCR0); 0 when it can't be asked.
static inline unsigned long long cpu_saved_state(void) {
  unsigned a, b, c, d;
  if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_OSXSAVE)) return 0;
  __asm__ volatile("xgetbv" : "=a"(a), "=d"(d) : "c"(0));
  return (unsigned long long)d << 32 | a;
}

/// EBX of CPUID's leaf 7; 0 when there is none.
static inline unsigned cpu_extended_features(void) {
  unsigned a, b, c, d;
  return __get_cpuid_count(7, 0, &a, &b, &c, &d) ? b : 0;
}

#if defined(__PCLMUL__)
typedef unsigned long long cpu_word_pair __attribute__((ext_vector_type(2)));
typedef long long cpu_signed_pair __attribute__((vector_size(16)));

/// The product of the lower words without carries.
static inline cpu_word_pair cpu_carryless_product_low(cpu_word_pair a, cpu_word_pair b) {
  return (cpu_word_pair)__builtin_ia32_pclmulqdq128((cpu_signed_pair)a, (cpu_signed_pair)b, 0x00);
}

/// That of the upper words.
static inline cpu_word_pair cpu_carryless_product_high(cpu_word_pair a, cpu_word_pair b) {
  return (cpu_word_pair)__builtin_ia32_pclmulqdq128((cpu_signed_pair)a, (cpu_signed_pair)b, 0x11);
}
#endif

/// ECX of CPUID's leaf 1.
static inline unsigned cpu_features(void) {
  unsigned a, b, c, d;
  return __get_cpuid(1, &a, &b, &c, &d) ? c : 0;
}
#endif
