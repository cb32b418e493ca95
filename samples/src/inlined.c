/* Sites in functions that are inlined: into each other, into several functions, and partly into a cold part. */
#include "samples.h"
#include "textpoke/static_key.h"

DEFINE_STATIC_KEY_FALSE(deep_key);

__attribute__((cold, noinline)) static void seldom(int *n) { *n += 1000; }

static inline int innermost(int n) {
  if (static_branch_unlikely(&deep_key)) {
    seldom(&n);
    n = n * 7 + 1;
  }
  return n * 3;
}

static inline int middle(int n) {
  int sum = 0;
  for (int i = 0; i < n; i++)
    sum += innermost(sum + i);
  return sum;
}

int outermost(int n) { return middle(n) + innermost(n); }

int another(int n) {
  if (__builtin_expect(n > 1000, 0))
    n = innermost(n);
  return n > 3 ? middle(n - 3) : n;
}
