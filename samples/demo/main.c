/* The demo's program: prints what its call, its branch and its counter do at the moment, one line each. */
#include "demo.h"

static void write_out(const char *text) {
  unsigned long length = 0;
  while (text[length])
    length++;
  long result = 1; /* write */
  __asm__ volatile("syscall" : "+a"(result) : "D"(1L), "S"(text), "d"(length) : "rcx", "r11", "memory");
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
  __asm__ volatile("syscall" : : "a"(60L), "D"(0L) : "rcx", "r11", "memory"); /* exit */
  __builtin_unreachable();
}

__asm__(".globl _start\n\t"
        ".type _start, @function\n"
        "_start:\n\t"
        "xorl %ebp, %ebp\n\t"
        "andq $-16, %rsp\n\t"
        "call start\n\t"
        "ud2\n\t"
        ".size _start, . - _start");
