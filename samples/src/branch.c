/* Static branches: likely and unlikely on true and false keys, array elements, a member, nested, in a loop. */
#include "samples.h"
#include "textpoke/static_key.h"

DEFINE_STATIC_KEY_TRUE(on_key);
DEFINE_STATIC_KEY_FALSE(off_key);
DEFINE_STATIC_KEY_ARRAY_TRUE(on_keys, 3);
DEFINE_STATIC_KEY_ARRAY_FALSE(off_keys, 3);

static struct {
  int id;
  struct static_key_false tracing;
} device TEXTPOKE_KEY_DATA(device) = {1, STATIC_KEY_FALSE_INIT};

int likely_true(void) {
  if (static_branch_likely(&on_key))
    return 1;
  return 0;
}

int likely_false(void) {
  if (static_branch_likely(&off_key))
    return 1;
  return 0;
}

int unlikely_true(void) {
  if (static_branch_unlikely(&on_key))
    return 1;
  return 0;
}

int unlikely_false(void) {
  if (static_branch_unlikely(&off_key))
    return 1;
  return 0;
}

int array_true(void) {
  if (static_branch_likely(&on_keys[1]))
    return 1;
  return 0;
}

int array_false(void) {
  if (static_branch_unlikely(&off_keys[2]))
    return 1;
  return 0;
}

int member_key(void) {
  if (static_branch_unlikely(&device.tracing))
    return device.id;
  return 0;
}

int nested(void) {
  int bits = 0;
  if (static_branch_unlikely(&off_key)) {
    bits |= 1;
    if (static_branch_likely(&on_key))
      bits |= 2;
  } else if (static_branch_unlikely(&on_key)) {
    bits |= 2;
  }
  return bits;
}

int in_loop(int times) {
  int sum = 0;
  for (int i = 0; i < times; i++) {
    if (static_branch_unlikely(&off_keys[0]))
      sum += 100;
    sum += i;
  }
  return sum;
}

__attribute__((cold, noinline)) static void rare(int *n) { *n += 1000; }

/* gcc -O2 puts the bodies into .text.unlikely: the target is in another section, and the jump of the second
 * has a relocation of its own. */
int cold_body(int n) {
  if (static_branch_unlikely(&off_key)) {
    rare(&n);
    return n;
  }
  return n + 1;
}

int cold_jump(int n) {
  if (static_branch_unlikely(&on_key)) {
    rare(&n);
    return n;
  }
  return n + 1;
}
