/* SPDX-License-Identifier: MIT
 * What makes every thread of the process see new code before a change returns: membarrier(2) where the kernel has it,
 * or all threads are stopped by a signal. And fork(), which must not happen in the middle of a change.
 */
#include "internal.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* linux/membarrier.h, which older systems have not. */
enum { PRIVATE_EXPEDITED_SYNC_CORE = 1 << 5, REGISTER_PRIVATE_EXPEDITED_SYNC_CORE = 1 << 6 };

bool sync_by_stopping;

static long membarrier(int command) {
#ifdef SYS_membarrier
  return syscall(SYS_membarrier, command, 0, 0);
#else
  (void)command;
  return -1;
#endif
}

/* A context synchronising event of this thread: membarrier need not make one where there is no other thread. */
void sync_self(void) {
#if defined(__x86_64__)
  unsigned a = 0, b, c = 0, d;
  __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d) : : "memory");
#elif defined(__aarch64__) || __ARM_ARCH >= 7
  __asm__ volatile("isb" : : : "memory");
#endif
}

bool sync_cores(void) {
  bool done = membarrier(PRIVATE_EXPEDITED_SYNC_CORE) == 0;
  sync_self();
  if (!done)
    textpoke_say("membarrier fails, which worked before");
  return done;
}

/* ---- fork */

static sigset_t fork_mask;

static void before_fork(void) {
  struct textpoke_loaded *loaded = segments_loaded();
  deferred_before_fork();
  textpoke_lock(&fork_mask);
  segments_before_fork(loaded);
  write_before_fork();
}

static void in_parent(void) {
  write_in_parent();
  segments_in_parent();
  textpoke_unlock(&fork_mask);
  deferred_in_parent();
}

static void in_child(void) {
  textpoke_lock_forked();
  if (textpoke_started && !sync_by_stopping)
    membarrier(REGISTER_PRIVATE_EXPEDITED_SYNC_CORE);
  stop_note_helpers(); /* an emulator makes its own threads anew */
  trap_forked();
  write_in_child();
  textpoke_unlock(&fork_mask);
  deferred_in_child();
}

void sync_watch_forks(void) {
  if (pthread_atfork(before_fork, in_parent, in_child))
    textpoke_say("no memory to watch forks");
}

/* ---- the choice */

enum textpoke_error sync_choose(void) {
  const char *asked = secure_getenv("TEXTPOKE_WAYS");
  /* An emulator passes membarrier on to a kernel that knows nothing of its translations; its threads leave them for a
   * signal. */
  sync_by_stopping = write_emulated || (asked && strstr(asked, "signals")) ||
                     membarrier(REGISTER_PRIVATE_EXPEDITED_SYNC_CORE) != 0;
  if (!stop_choose()) {
    textpoke_say("no real-time signal is free");
    return TEXTPOKE_ERROR_THREADS;
  }
  if (!sync_by_stopping && !trap_choose()) {
    textpoke_say("no handler for SIGTRAP can be installed");
    return TEXTPOKE_ERROR_THREADS;
  }
  return TEXTPOKE_OK;
}

#ifndef TEXTPOKE_NO_PATCHING
#define WAYS(write)                                                                                          \
  {{write ", membarrier", write ", membarrier, an emulator"}, {write ", signals", write ", signals, an emulator"}}
static const char *const words[][2][2] = {WAYS("nothing"), WAYS("mem"), WAYS("memfd")};
#endif

/* Constant text: others read it while it is asked for again. */
const char *textpoke_ways(void) {
  const char *text = "not at all";
  sigset_t mask;
  textpoke_lock(&mask);
  if (textpoke_started)
#ifdef TEXTPOKE_NO_PATCHING
    text = "loads";
#else
    text = words[write_way()][sync_by_stopping][write_emulated];
#endif
  textpoke_unlock(&mask);
  return text;
}
