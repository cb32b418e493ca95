/* File-local keys and calls; local2.c has the same names for others. */
#include "samples.h"
#include "textpoke/static_call.h"
#include "textpoke/static_key.h"

#ifndef LOCAL
#define LOCAL(name) local_##name
#define LOCAL_FACTOR 3
#define LOCAL_KEY DEFINE_STATIC_KEY_FALSE
#endif

static LOCAL_KEY(local_key);
static int work(int n) { return n * LOCAL_FACTOR; }
static void hook(int n);
DEFINE_STATIC_CALL_LOCAL(local_work, work);
DEFINE_STATIC_CALL_NULL_LOCAL(local_hook, hook);
DEFINE_STATIC_CALL_RET0_LOCAL(local_zero, work);

static int hooked;
__attribute__((used)) static void hook(int n) { hooked += n; }

int LOCAL(branch)(void) {
  static DEFINE_STATIC_KEY_TRUE(inner_key); /* function scope */
  int bits = 0;
  if (static_branch_unlikely(&local_key))
    bits |= 1;
  if (static_branch_likely(&inner_key))
    bits |= 2;
  return bits;
}

int LOCAL(call)(int n) {
  static_call_cond(local_hook)(n);
  return static_call(local_work)(n) + static_call(local_zero)(n) + hooked;
}
