/* Two units, one: defines the keys and the call, has no site. */
#include "shared.h"

DEFINE_STATIC_KEY_TRUE(shared_true);
DEFINE_STATIC_KEY_FALSE(shared_false);
DEFINE_STATIC_KEY_ARRAY_FALSE(shared_keys, 4);

int shared_plain(int n) { return n + 100; }
int shared_other(int n) { return n + 200; }
DEFINE_STATIC_CALL(shared_call, shared_plain);
