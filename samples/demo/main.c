/* The demo's program: prints what its call, its branch and its counter do at the moment, one line each. */
#include "demo.h"

static void write_out(const char *text) {
  unsigned long length = 0;
  while (text[length])
    length++;
  demo_write(text, length);
}

void say(const char *what, const char *value) {
  write_out(what);
  write_out(": ");
  write_out(value);
  write_out("\n");
}

__attribute__((used)) static void start(void) {
  char digit[2] = {0, 0};
  say("call", static_call(greet)());
  for (int i = 0; i < 3; i++)
    digit[0] = (char)('0' + count());
  say("counter", digit);
  if (static_branch_likely(&tracing))
    say("branch", "on");
  else
    say("branch", "off");
  demo_exit();
  __builtin_unreachable();
}

__asm__(".globl _start\n\t"
        ".type _start, %function\n"
        "_start:\n\t" DEMO_BEGIN ".size _start, . - _start");
