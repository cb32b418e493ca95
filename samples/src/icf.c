/* Two functions that differ in nothing but their keys, and two that are the same: identical code folding must
 * keep the first pair apart (their markers do), and may fold the second. With -ffunction-sections. */
#include "textpoke/static_key.h"

DEFINE_STATIC_KEY_FALSE(icf_a);
DEFINE_STATIC_KEY_FALSE(icf_b);

int icf_first(void) {
  if (static_branch_unlikely(&icf_a))
    return 1;
  return 0;
}

int icf_second(void) {
  if (static_branch_unlikely(&icf_b))
    return 1;
  return 0;
}

int icf_same(void) {
  if (static_branch_unlikely(&icf_a))
    return 2;
  return 0;
}

int icf_same_again(void) {
  if (static_branch_unlikely(&icf_a))
    return 2;
  return 0;
}
