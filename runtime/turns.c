/* SPDX-License-Identifier: MIT
 * One writer at a time, in the order in which they came. With a mutex of the C library a thread that makes one change
 * after another would take it again before those whom it has woken run, where processors are busy for ever.
 */
#include "internal.h"

#include <pthread.h>

static uint32_t last_ticket, turn; /* a writer whose ticket is `turn` has the lock */

/* A handler that forks would wait behind the thread that it interrupts. Who waits can still be stopped (stop.c); who has
 * the lock cannot, for it may be the one who stops. */
void textpoke_lock(sigset_t *mask) {
  sigset_t all, most;
  textpoke_outer_signals(&all);
  most = all;
  stop_let_in(&most);
  pthread_sigmask(SIG_BLOCK, &most, mask);
  uint32_t ticket = __atomic_fetch_add(&last_ticket, 1, __ATOMIC_SEQ_CST), now;
  while ((now = __atomic_load_n(&turn, __ATOMIC_SEQ_CST)) != ticket)
    futex_wait(&turn, now, NULL);
  pthread_sigmask(SIG_BLOCK, &all, NULL);
}

void textpoke_unlock(const sigset_t *mask) {
  uint32_t next = __atomic_add_fetch(&turn, 1, __ATOMIC_SEQ_CST);
  if (__atomic_load_n(&last_ticket, __ATOMIC_SEQ_CST) != next)
    futex_wake(&turn, INT32_MAX);
  pthread_sigmask(SIG_SETMASK, mask, NULL);
}

/* In the child of a fork: whoever else waited is not there. The thread has the lock. */
void textpoke_lock_forked(void) { last_ticket = turn + 1; }
