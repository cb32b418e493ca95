#include "greet.h"

#include <stdio.h>

int main(void) {
  static_call(greet)("world");
  __atomic_fetch_add(&greeted, 1, __ATOMIC_SEQ_CST);
  if (static_branch_unlikely(&tracing))
    printf("greeted %d\n", greeted);
  return 0;
}
