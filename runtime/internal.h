/* SPDX-License-Identifier: MIT
 * What the files of libtextpoke know of each other. The order in which a change goes through them:
 *
 *     registry.c   objects with their sites; init
 *     segments.c   what an address is: code or data, and of which object
 *     deferred.c   decrements that wait
 *     change.c     what is asked of keys and calls: counts, functions, the sites that follow
 *     locks.c      lock prefixes and barriers, for a number of CPUs
 *     batch.c      a list of places with their new bytes: sorted, compared, written whole or not at all
 *     write.c      where text is written from
 *     sync.c       what makes all threads see it: membarrier, or stop.c, which stops them by a signal
 *     trap.c       threads that run into an int3 meanwhile (x86-64)
 */
#ifndef TEXTPOKE_INTERNAL_H
#define TEXTPOKE_INTERNAL_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#define _FILE_OFFSET_BITS 64 /* addresses are offsets in /proc/self/mem */
#include <textpoke/runtime.h>

#include "object.h"

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#define INTERNAL __attribute__((visibility("hidden")))

/* ---- sites */

enum { SITE_SIZE = 6 };
enum site_kind { SITE_BRANCH, SITE_CALL, SITE_TAIL_CALL, SITE_TRAMPOLINE };

struct textpoke_site {
  uint8_t *place;
  void *key;
  uintptr_t target; /* where a branch jumps to; where a call went at first, as a code pointer */
  uint8_t kind, size;
  uint8_t likely;
  uint8_t routed;         /* the target of a call leads to the trampoline */
  uint8_t thumb;          /* Thumb-2, on 32-bit ARM */
  uint8_t now[SITE_SIZE]; /* what the library knows to stand there */
};

/* ---- one machine (machine/NAME.h, through machine.c) */

/* Reads `now`: sets the size, and the target of a call. False if it is none of the site's forms. */
INTERNAL bool machine_read(struct textpoke_site *site);
/* A trampoline says what it is behind the bytes that are patched; so many bytes have to be there. */
INTERNAL size_t machine_trampoline_size(void);
INTERNAL bool machine_is_trampoline(const uint8_t *place, bool thumb);
/* Where the trampoline is that a call of `target` reaches: there, or behind a linker's veneer. */
INTERNAL uint8_t *machine_trampoline_behind(uintptr_t target);

/* Bytes for a state, of the size of the site. `enabled` is the key's; a function is a code pointer, 0 for NULL. */
INTERNAL void machine_branch(uint8_t *bytes, const struct textpoke_site *site, bool enabled);
/* Both are false where the site does not reach the function. */
INTERNAL bool machine_call(uint8_t *bytes, const struct textpoke_site *site, uintptr_t function,
                           const struct textpoke_object *object);
INTERNAL bool machine_trampoline(uint8_t *bytes, const struct textpoke_site *site, uintptr_t function);
/* The bytes of a lock or barrier for a number of CPUs; their number, 0 if it is none that may stand there. */
INTERNAL int machine_smp(uint8_t *bytes, const uint8_t *place, bool thumb, int cpus);

/* How a change of bytes may be made while others run them. */
enum passage {
  PASS_STORE, /* one store: all see the old or the new */
  PASS_TRAP,  /* int3, tail, head (x86-64) */
  PASS_STOP   /* not while anybody runs it */
};
INTERNAL enum passage machine_passage(const uint8_t *old, const uint8_t *bytes, int size, bool thumb);

/* ---- objects (registry.c) */

INTERNAL extern struct textpoke_object *textpoke_objects;
INTERNAL extern bool textpoke_started; /* textpoke_init() has been called and found a way */
INTERNAL extern bool textpoke_entered; /* constructors have begun: before, in resolvers, the C library is not ready */
INTERNAL extern int textpoke_failed;   /* the error with which it found none */

/* Where an object's sites of a key begin; *end is behind the last. */
INTERNAL struct textpoke_site *textpoke_sites_of(const struct textpoke_object *object, const void *key,
                                                 struct textpoke_site **end);
/* Reads what stands there, if an entry of the object may name this place at all. */
INTERNAL int textpoke_read_site(const struct textpoke_object *object, struct textpoke_site *site);

/* ---- addresses (segments.c) */

/* Of the object that this structure lies in. Without the lock. */
INTERNAL void textpoke_read_segments(struct textpoke_object *object);
/* Bytes from an address to the end of the object's segment with that flag (PF_X, PF_W); 0 where it is in none. */
INTERNAL size_t textpoke_room_at(const struct textpoke_object *object, uintptr_t address, unsigned flag);
/* The object with a segment of that flag at the address; NULL if it is in none that has tables. */
INTERNAL struct textpoke_object *textpoke_object_of(uintptr_t address, unsigned flag);
INTERNAL bool textpoke_has_code(const struct textpoke_object *object, uintptr_t place, size_t size);
/* In code, in data of whatever is loaded. */
INTERNAL bool textpoke_is_code(uintptr_t pointer);
INTERNAL bool textpoke_is_data(const void *key, size_t size);
/* Whether the library stays as long as the process: another one that has it in itself may be unmapped. */
INTERNAL extern bool textpoke_stays;
/* Finds that out, once. Without the lock. */
INTERNAL void segments_find_library(void);
/* What is loaded, for the child of a fork; NULL without memory. Without the lock, and the others with it. */
INTERNAL struct textpoke_loaded *segments_loaded(void);
INTERNAL void segments_before_fork(struct textpoke_loaded *loaded);
INTERNAL void segments_in_parent(void);

/* ---- a batch of places (batch.c) */

struct poke {
  uint8_t *place;
  struct textpoke_site *site; /* whose `now` follows; NULL for a lock */
  uint8_t old[SITE_SIZE], bytes[SITE_SIZE];
  uint8_t size, thumb, passage, placed;
};

struct batch {
  struct poke *pokes;
  size_t count, room;
};

/* A poke more, whose bytes the caller fills in; NULL without memory. */
INTERNAL struct poke *batch_add(struct batch *batch, struct textpoke_site *site);
/* A poke that makes a site what its key says now; false without memory (change.c). */
INTERNAL bool textpoke_follow(struct batch *batch, const struct textpoke_object *object, struct textpoke_site *site);
/* The function that a key stands for, 0 for NULL (change.c). */
INTERNAL uintptr_t textpoke_function_of(const struct static_call_key *key);
/* Locks of an object for the number of CPUs that was set last (locks.c). */
INTERNAL enum textpoke_error textpoke_locks_follow(struct textpoke_object *object);
/* Writes what is not yet as it should be. All or nothing. Forgets the list, whatever comes of it. */
INTERNAL enum textpoke_error batch_run(struct batch *batch);

/* ---- writing text (write.c) */

/* Finds a way to write text, once. */
INTERNAL enum textpoke_error write_choose(void);
/* Prepares the pages from start to end, an object's text. To be called before the first write into them. */
INTERNAL enum textpoke_error write_cover(uintptr_t start, uintptr_t end);
INTERNAL void write_uncover(uintptr_t start, uintptr_t end);
/* Before the writes of a batch: false, with a line in the log, if the way is gone. */
INTERNAL bool write_begin(void);
/* Takes no lock and no memory. Up to SITE_SIZE bytes; words of 4 bytes are one store. */
INTERNAL bool write_text(uint8_t *place, const uint8_t *bytes, int size);
/* Instruction caches, and emulators that have translated what was changed. */
INTERNAL void write_flush(const struct poke *pokes, size_t count);
/* 0, 1 for mem, 2 for memfd. */
INTERNAL unsigned write_way(void);
/* Whether this is an emulator that learns of changes by mprotect alone. */
INTERNAL extern bool write_emulated;
INTERNAL void write_before_fork(void);
INTERNAL void write_in_parent(void);
INTERNAL void write_in_child(void);

/* ---- synchronising threads (sync.c, stop.c) */

INTERNAL enum textpoke_error sync_choose(void);
INTERNAL extern bool sync_by_stopping; /* no membarrier: batches stop all threads */
/* Every thread of the process runs a context synchronising event before this returns. */
INTERNAL bool sync_cores(void);
/* To be called once, before the program makes threads. */
INTERNAL void sync_watch_forks(void);
/* The same as sync_cores() for this thread alone. */
INTERNAL void sync_self(void);

/* Finds a signal that nobody uses, once. */
INTERNAL bool stop_choose(void);
/* Takes that signal out of a mask of blocked ones; all real-time signals while it is not chosen. */
INTERNAL void stop_let_in(sigset_t *blocked);
/* Stops all threads but this one. Between the two nothing may be called that takes a lock: not even malloc. */
INTERNAL bool stop_threads(void);
INTERNAL void resume_threads(void);
/* Notes threads that are there before the program has made any: an emulator's own. */
INTERNAL void stop_note_helpers(void);

/* ---- int3 (trap.c) */

INTERNAL bool trap_choose(void);
/* The handler stands, whoever came in between. */
INTERNAL bool trap_hold(void);
/* Threads that run into one of these places run its new instruction. Sorted by place. */
INTERNAL void trap_open(const struct poke *pokes, size_t count);
/* Returns when no handler looks at them any longer. */
INTERNAL void trap_close(void);
INTERNAL void trap_forked(void);

/* ---- the socket (control.c) */

/* Opens it if the environment asks for that. Without the lock. */
INTERNAL void control_if_asked(void);

/* ---- decrements that wait (deferred.c) */

/* static_key_slow_dec() with its error (change.c). */
INTERNAL enum textpoke_error textpoke_dec(struct static_key *key);
/* Drops what waits for keys of an object that leaves. Without the lock of writers, as the three below. */
INTERNAL void deferred_forget(const struct textpoke_object *object);
INTERNAL void deferred_before_fork(void);
INTERNAL void deferred_in_parent(void);
INTERNAL void deferred_in_child(void);

/* ---- small things (errors.c, registry.c) */

/* A thread that takes no signal of the program's. Without the lock of writers. */
INTERNAL bool textpoke_start_thread(pthread_t *thread, void *(*run)(void *), void *data);

INTERNAL void textpoke_say(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* All but those that a fault of the thread itself raises: blocked, such a one would end the process. */
INTERNAL void textpoke_outer_signals(sigset_t *signals);

/* ---- one writer at a time (turns.c) */

/* Signals wait while the lock is held: a handler that runs a site in the thread that changes it would wait for itself. */
INTERNAL void textpoke_lock(sigset_t *mask);
INTERNAL void textpoke_unlock(const sigset_t *mask);
INTERNAL void textpoke_lock_forked(void);

/* ---- futex(2) (futex.c) */

/* Until the word is another one or a wake-up comes, at most so long. May return without a reason. */
INTERNAL void futex_wait(uint32_t *word, uint32_t value, const struct timespec *limit);
INTERNAL void futex_wake(uint32_t *word, int32_t threads);

#endif
