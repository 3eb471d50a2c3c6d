// The loops of resizing: whole numbers only, so that every order of summation gives the same.
//
// Written once with the compiler's vectors and compiled twice, for every CPU and for those with AVX2, which have twice
// the lanes and multiply whole numbers at once.

#include "CImages.h"

#include <string.h>

/// Bits behind the point of a weight.
enum { precision = 22, half = 1 << (precision - 1) };

#define INLINE static inline __attribute__((always_inline))

typedef uint8_t bytes4 __attribute__((vector_size(4)));
typedef uint8_t bytes8 __attribute__((vector_size(8)));
typedef int32_t ints4 __attribute__((vector_size(16)));
typedef int32_t ints8 __attribute__((vector_size(32)));

INLINE uint8_t rounded(int32_t sum) {
  int32_t value = sum >> precision;
  return (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
}

INLINE ints4 pixel(const uint8_t *at) {
  bytes4 pixel;
  memcpy(&pixel, at, sizeof pixel);
  return __builtin_convertvector(pixel, ints4);
}

INLINE void row(
    const uint8_t *source, const resize_window *windows, size_t outputs, const int32_t *weights, uint8_t *target) {
  for (size_t output = 0; output < outputs; output++) {
    const uint8_t *next = source + (size_t)windows[output].first * 4;
    const int32_t *weight = weights + windows[output].first_weight;
    int32_t count = windows[output].count, index = 0;
    ints8 pairs = {0}, more = {0};
    for (; index + 4 <= count; index += 4, next += 16, weight += 4) {
      ints8 first = {weight[0], weight[0], weight[0], weight[0], weight[1], weight[1], weight[1], weight[1]};
      ints8 second = {weight[2], weight[2], weight[2], weight[2], weight[3], weight[3], weight[3], weight[3]};
      bytes8 two, four;
      memcpy(&two, next, sizeof two);
      memcpy(&four, next + 8, sizeof four);
      pairs += __builtin_convertvector(two, ints8) * first;
      more += __builtin_convertvector(four, ints8) * second;
    }
    pairs += more;
    ints4 sum = __builtin_shufflevector(pairs, pairs, 0, 1, 2, 3) + __builtin_shufflevector(pairs, pairs, 4, 5, 6, 7);
    for (; index < count; index++, next += 4, weight++) sum += pixel(next) * *weight;
    sum += half;
    for (int channel = 0; channel < 4; channel++) target[output * 4 + channel] = rounded(sum[channel]);
  }
}

INLINE void add(const uint8_t *source, size_t count, int32_t weight, int32_t *sums) {
  for (size_t index = 0; index < count; index++) sums[index] += source[index] * weight;
}

INLINE void to_bytes(const int32_t *sums, size_t count, uint8_t *target) {
  for (size_t index = 0; index < count; index++) target[index] = rounded(sums[index]);
}

#if defined(__x86_64__)
#define AVX2 __attribute__((target("avx2")))
AVX2 static void row_avx2(
    const uint8_t *source, const resize_window *windows, size_t outputs, const int32_t *weights, uint8_t *target) {
  row(source, windows, outputs, weights, target);
}
AVX2 static void add_avx2(const uint8_t *source, size_t count, int32_t weight, int32_t *sums) {
  add(source, count, weight, sums);
}
AVX2 static void to_bytes_avx2(const int32_t *sums, size_t count, uint8_t *target) { to_bytes(sums, count, target); }
#define CALL(function, ...)                                                                        \
  do {                                                                                             \
    if (__builtin_cpu_supports("avx2"))                                                            \
      function##_avx2(__VA_ARGS__);                                                                \
    else                                                                                           \
      function(__VA_ARGS__);                                                                       \
  } while (0)
#else
#define CALL(function, ...) function(__VA_ARGS__)
#endif

void resize_row(
    const uint8_t *source, const resize_window *windows, size_t outputs, const int32_t *weights, uint8_t *target) {
  CALL(row, source, windows, outputs, weights, target);
}

void resize_add(const uint8_t *source, size_t count, int32_t weight, int32_t *sums) {
  CALL(add, source, count, weight, sums);
}

void resize_clear(int32_t *sums, size_t count) {
  for (size_t index = 0; index < count; index++) sums[index] = half;
}

void resize_round(const int32_t *sums, size_t count, uint8_t *target) { CALL(to_bytes, sums, count, target); }
