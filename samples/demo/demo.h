/* What the two units of the demo share. Freestanding: no libc, only the kernel's write and exit. */
#include "textpoke/static_call.h"
#include "textpoke/static_key.h"

#pragma GCC visibility push(hidden)
const char *greet_plain(void);
const char *greet_loud(void);
int count(void);
void say(const char *what, const char *value);
#pragma GCC visibility pop

DECLARE_STATIC_CALL(greet, greet_plain);
DECLARE_STATIC_KEY_FALSE(tracing);

/* The kernel's write and exit, and how a program begins: with the stack aligned and no frame in front. */
#ifdef __x86_64__
static inline void demo_write(const char *text, unsigned long length) {
  long result = 1;
  __asm__ volatile("syscall" : "+a"(result) : "D"(1L), "S"(text), "d"(length) : "rcx", "r11", "memory");
}
static inline void demo_exit(void) {
  __asm__ volatile("syscall" : : "a"(60L), "D"(0L) : "rcx", "r11", "memory");
}
#define DEMO_BEGIN "xorl %ebp, %ebp\n\tandq $-16, %rsp\n\tcall start\n\tud2\n\t"
#elif defined(__arm__)
static inline void demo_write(const char *text, unsigned long length) {
  register long result __asm__("r0") = 1;
  register const char *from __asm__("r1") = text;
  register unsigned long size __asm__("r2") = length;
  /* r7 holds the call's number, and is the frame pointer of Thumb code. */
  __asm__ volatile("push {r7}\n\tmov r7, #4\n\tsvc #0\n\tpop {r7}" : "+r"(result) : "r"(from), "r"(size) : "memory");
}
static inline void demo_exit(void) {
  register long status __asm__("r0") = 0;
  __asm__ volatile("mov r7, #1\n\tsvc #0" : : "r"(status) : "memory");
}
#define DEMO_BEGIN "mov fp, #0\n\tmov lr, #0\n\tbl start\n\tudf #0\n\t"
#else
static inline void demo_write(const char *text, unsigned long length) {
  register long number __asm__("x8") = 64;
  register long result __asm__("x0") = 1;
  register const char *from __asm__("x1") = text;
  register unsigned long size __asm__("x2") = length;
  __asm__ volatile("svc #0" : "+r"(result) : "r"(number), "r"(from), "r"(size) : "memory");
}
static inline void demo_exit(void) {
  register long number __asm__("x8") = 93;
  register long status __asm__("x0") = 0;
  __asm__ volatile("svc #0" : : "r"(number), "r"(status) : "memory");
}
#define DEMO_BEGIN "mov x29, #0\n\tmov x30, #0\n\tbl start\n\tudf #0\n\t"
#endif
