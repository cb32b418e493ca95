/* SPDX-License-Identifier: MIT
 * Keys whose last decrement waits, so that a switch that goes off and on all the time does not change code each time
 * (Linux include/linux/jump_label_ratelimit.h). While others count on the key, a decrement is carried out at once. The
 * one that would turn it off waits for the key's timeout, in milliseconds; an increment that comes before changes no
 * code. A thread of the library's carries it out. It is made for the first such decrement after textpoke_init(): before
 * init, and where no thread can be made, decrements are not deferred.
 *
 *     DEFINE_STATIC_KEY_DEFERRED_FALSE(tracing, 1000);
 *
 *     static_branch_deferred_inc(&tracing);
 *     if (static_branch_unlikely(&tracing.key)) ...
 *     static_branch_slow_dec_deferred(&tracing);
 *
 * In a child of fork() what waited goes on with the child's next deferred decrement, or when it flushes. Memory that
 * holds such a key and is freed while a decrement waits has to be flushed before; objects that are unloaded are seen to.
 */
#ifndef TEXTPOKE_JUMP_LABEL_RATELIMIT_H
#define TEXTPOKE_JUMP_LABEL_RATELIMIT_H

#include "runtime.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The library's own. */
struct textpoke_deferred {
  struct textpoke_deferred *next;
  struct static_key *key;
  long long due; /* nanoseconds of CLOCK_MONOTONIC */
  int waits, running;
  unsigned long timeout;
};

struct static_key_deferred {
  struct static_key key;
  unsigned long timeout; /* milliseconds */
  struct textpoke_deferred work;
};
struct static_key_true_deferred {
  struct static_key_true key;
  unsigned long timeout;
  struct textpoke_deferred work;
};
struct static_key_false_deferred {
  struct static_key_false key;
  unsigned long timeout;
  struct textpoke_deferred work;
};

#define TEXTPOKE_DEFERRED_INIT                                                                               \
  { 0, 0, 0, 0, 0, 0 }

#define DEFINE_STATIC_KEY_DEFERRED_TRUE(name, rl)                                                            \
  TEXTPOKE_DEFINE_KEY(static_key_true_deferred, name, , {STATIC_KEY_TRUE_INIT, (rl), TEXTPOKE_DEFERRED_INIT})
#define DEFINE_STATIC_KEY_DEFERRED_FALSE(name, rl)                                                           \
  TEXTPOKE_DEFINE_KEY(static_key_false_deferred, name, , {STATIC_KEY_FALSE_INIT, (rl), TEXTPOKE_DEFERRED_INIT})
#define DECLARE_STATIC_KEY_DEFERRED_TRUE(name) extern struct static_key_true_deferred name TEXTPOKE_HIDDEN
#define DECLARE_STATIC_KEY_DEFERRED_FALSE(name) extern struct static_key_false_deferred name TEXTPOKE_HIDDEN

/* True when the count is lower by one, or will be. */
#define static_key_slow_dec_deferred(x) textpoke_dec_deferred(&(x)->key, &(x)->work, (x)->timeout)
#define static_branch_slow_dec_deferred(x) textpoke_dec_deferred(&(x)->key.key, &(x)->work, (x)->timeout)
#define static_branch_deferred_inc(x) static_branch_inc(&(x)->key)
TEXTPOKE_API bool textpoke_dec_deferred(struct static_key *key, struct textpoke_deferred *work, unsigned long timeout);

/* A decrement that waits is carried out now. False where it cannot be, and waits on. */
#define static_key_deferred_flush(x) textpoke_flush_deferred(&(x)->work)
TEXTPOKE_API bool textpoke_flush_deferred(struct textpoke_deferred *work);

/* Sets the timeout of decrements to come. */
static inline void jump_label_rate_limit(struct static_key_deferred *key, unsigned long rl) { key->timeout = rl; }

#ifdef __cplusplus
}
#endif
#endif
