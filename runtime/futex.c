/* SPDX-License-Identifier: MIT
 * futex(2), for what has to work in handlers of signals and while other threads are stopped.
 */
#include "internal.h"

#include <sys/syscall.h>
#include <unistd.h>

/* linux/futex.h, which not every libc brings along. */
enum { WAIT = 0, WAKE = 1, PRIVATE = 128 };

static void futex(uint32_t *word, int operation, uint32_t value, const struct timespec *limit) {
#ifdef SYS_futex_time64 /* 32-bit systems whose times have 64 bits */
  if (sizeof limit->tv_sec > sizeof(long)) {
    syscall(SYS_futex_time64, word, operation | PRIVATE, value, limit, NULL, 0);
    return;
  }
#endif
#ifdef SYS_futex
  syscall(SYS_futex, word, operation | PRIVATE, value, limit, NULL, 0);
#endif
}

void futex_wait(uint32_t *word, uint32_t value, const struct timespec *limit) { futex(word, WAIT, value, limit); }

void futex_wake(uint32_t *word, int32_t threads) { futex(word, WAKE, (uint32_t)threads, NULL); }
