// COMDAT, first unit: defines the keys and the call, and uses every inline function.
#include "comdat.hpp"

DEFINE_STATIC_KEY_TRUE(comdat_true);
DEFINE_STATIC_KEY_FALSE(comdat_false);
int comdat_target(int n) { return n + 1000; }
int comdat_other(int n) { return n + 2000; }
DEFINE_STATIC_CALL(comdat_call, comdat_target);

static int number;

int comdat_first(int n) {
  return comdat_branch() + comdat_calls<1>(n) + comdat_calls<2>(n) + comdat_locked(&number);
}
