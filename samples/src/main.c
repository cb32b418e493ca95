/* The sample program: one line a check, so that what a patched image does can be seen from outside. */
#include <stdio.h>
#include "samples.h"

static void say(const char *what, int value) { printf("%s %d\n", what, value); }

int main(void) {
  say("likely true", likely_true());
  say("likely false", likely_false());
  say("unlikely true", unlikely_true());
  say("unlikely false", unlikely_false());
  say("array true", array_true());
  say("array false", array_false());
  say("member", member_key());
  say("nested", nested());
  say("loop", in_loop(4));
  say("cold body", cold_body(1));
  say("cold jump", cold_jump(1));

  say("call", call_plain(20));
  say("tail call", call_tail(20));
  call_cond(8);
  say("cond call", times_observed());
  call_cond_tail(16);
  say("cond tail call", times_observed());
  call_if(0);
  call_if(32);
  say("cond jump", times_observed());
  say("ret0 call", call_ret0(3));
  say("ret0 tail call", call_ret0_tail(3));
  say("call behind branch", call_behind_branch(40));
  say("query add_one", math_now() == (const void *)(unsigned long)&add_one);

  say("locks", lock_all());
  say("locks again", lock_all());
  lock_kept(30);
  say("kept lock", lock_kept(0));

  say("local branch", local_branch());
  say("local call", local_call(2));
  say("local2 branch", local2_branch());
  say("local2 call", local2_call(2));

  say("shared key", use_shared_key());
  say("shared call", use_shared_call(1));
  return 0;
}
