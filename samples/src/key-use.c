/* Two units, two: only sites. The keys are undefined symbols here, the call's key is not even named. */
#include "shared.h"

int use_shared_key(void) {
  int bits = 0;
  if (static_branch_likely(&shared_true))
    bits |= 1;
  if (static_branch_unlikely(&shared_false))
    bits |= 2;
  if (static_branch_unlikely(&shared_keys[3]))
    bits |= 4;
  return bits;
}

int use_shared_call(int n) { return static_call(shared_call)(n) + static_call(shared_call)(n + 1); }
