/* A program that patches itself: docs/tour.md has how it is built, and what it prints. */
#include <stdio.h>
#include <textpoke/runtime.h>

static int english(int n) { return printf("hello %d\n", n); }
static int german(int n) { return printf("hallo %d\n", n); }

DEFINE_STATIC_KEY_FALSE(verbose);
DEFINE_STATIC_CALL(greet, english);

__attribute__((noinline)) static void work(int n) {
  if (static_branch_unlikely(&verbose))
    printf("work(%d)\n", n);
  static_call(greet)(n);
}

int main(void) {
  if (textpoke_init())
    return 1;
  textpoke_set_cpus(1);
  work(1);
  static_branch_enable(&verbose);
  static_call_update(greet, german);
  work(2);
  static_branch_disable(&verbose);
  static_call_update(greet, 0);
  work(3);
  static_call_update(greet, english);
  work(4);
  return 0;
}
