/* Calls of NULL in memory: writes the program's memory, from its first byte on, into the file that it is given, and says
 * where that byte is. */
#include <textpoke/runtime.h>

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

static void mark(int *n) { *n += 1; }
DEFINE_STATIC_CALL_NULL(hook, mark);
DEFINE_STATIC_CALL(emptied, mark);
DEFINE_STATIC_CALL(kept, mark);

__attribute__((noinline, noclone)) static int run(int n) {
  static_call_cond(hook)(&n);
  static_call_cond(emptied)(&n);
  static_call(kept)(&n);
  return n;
}

int main(int argc, char **argv) {
  extern const char start[] __asm__("__executable_start"), end[] __asm__("_end");
  static const char hole[4096];
  int fd = argc > 1 ? open(argv[1], O_WRONLY | O_CREAT, 0600) : -1;
  if (fd < 0 || textpoke_init() || static_call_update(hook, mark) || run(0) != 3)
    return 1;
  if (static_call_update(hook, 0) || static_call_update(emptied, 0) || run(0) != 1 || static_call_query(hook))
    return 2;
  for (const char *page = start; page < end; page += sizeof hole)
    if (write(fd, page, sizeof hole) < 0 && write(fd, hole, sizeof hole) < 0)
      return 3;
  return printf("%p\n", (void *)start) < 0;
}
