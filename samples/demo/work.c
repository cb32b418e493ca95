/* The demo's work: a static call that goes to greet_plain or greet_loud, a static branch, and an atomic counter. */
#include "demo.h"

const char *greet_plain(void) { return "hello"; }
const char *greet_loud(void) { return "HELLO!"; }

DEFINE_STATIC_CALL(greet, greet_plain);
DEFINE_STATIC_KEY_FALSE(tracing);

static int counter;

int count(void) {
  if (static_branch_unlikely(&tracing))
    say("trace", "counting");
  return __atomic_add_fetch(&counter, 1, __ATOMIC_SEQ_CST);
}
