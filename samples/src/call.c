/* Static calls: call and tail call, NULL, RET0, conditional, behind a branch. `static_call(math)` can go to
 * add_one or add_ten, `notify` to observe, observe_twice or NULL, `probe` to real_probe or RET0. */
#include "samples.h"
#include "textpoke/static_call.h"
#include "textpoke/static_key.h"

static int observed;

int add_one(int n) { return n + 1; }
int add_ten(int n) { return n + 10; }
void observe(int n) { observed += n; }
void observe_twice(int n) { observed += 2 * n; }
int real_probe(int n) { return n * 7; }
int times_observed(void) { return observed; }

DEFINE_STATIC_CALL(math, add_one);
DEFINE_STATIC_CALL_NULL(notify, observe);
DEFINE_STATIC_CALL_RET0(probe, real_probe);
DEFINE_STATIC_KEY_FALSE(call_key);

int call_plain(int n) { return static_call(math)(n) * 2; }
int call_tail(int n) { return static_call(math)(n + 1); }

void call_cond(int n) {
  static_call_cond(notify)(n);
  observed++;
}
void call_cond_tail(int n) { static_call_cond(notify)(n); }

int call_ret0(int n) { return static_call(probe)(n) + 5; }
int call_ret0_tail(int n) { return static_call(probe)(n); }

/* clang -Os: `jne __SCT__notify`, a conditional tail call. gcc makes none. */
void call_if(int n) {
  if (n)
    static_call_cond(notify)(n);
}

int call_behind_branch(int n) {
  if (static_branch_unlikely(&call_key))
    return static_call(math)(n);
  return n;
}

const void *math_now(void) { return static_call_query(math); }
