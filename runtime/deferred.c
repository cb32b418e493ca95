/* SPDX-License-Identifier: MIT
 * Decrements that wait (Linux kernel/jump_label.c, __static_key_slow_dec_deferred). A key has at most one: it stands for
 * the last count of the key, and whoever counts besides is decremented at once. They are in a list, the one that is due
 * first in front; a thread carries out what is due.
 */
#include "internal.h"

#include <elf.h>
#include <limits.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

/* Milliseconds until what could not be done is tried again: more each time. */
enum { AGAIN = 1000, RARELY = 30000 };

static pthread_mutex_t list_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t list_changed = PTHREAD_COND_INITIALIZER; /* the list has a new first one, or the thread is to end */
static pthread_cond_t one_is_done = PTHREAD_COND_INITIALIZER;    /* one has been carried out */
static struct textpoke_deferred *first_due, *last_due;
static size_t under_way; /* being carried out, and in no list */
static pthread_t worker;
static pid_t worker_of; /* the process that has the thread */
static bool leaving;
static bool inherited; /* the list is that of the parent, and no thread carries it out yet */

static long long monotonic_now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (long long)time.tv_sec * 1000000000 + time.tv_nsec;
}

/* ---- the list; its lock is held. Whoever has it may take the lock of writers, but not the other way round. */

static void put_in(struct textpoke_deferred *work) {
  unsigned long long delay = work->timeout;
  long long most = LLONG_MAX / 4;
  work->due = monotonic_now() + (delay < (unsigned long long)(most / 1000000) ? (long long)delay * 1000000 : most);
  work->waits = 1;
  struct textpoke_deferred **link = &first_due;
  if (last_due && last_due->due <= work->due)
    link = &last_due->next;
  while (*link && (*link)->due <= work->due)
    link = &(*link)->next;
  work->next = *link;
  *link = work;
  if (!work->next)
    last_due = work;
  if (first_due == work)
    pthread_cond_signal(&list_changed);
}

static void take_out(struct textpoke_deferred *work) {
  struct textpoke_deferred **link = &first_due, *before = NULL;
  for (; *link && *link != work; link = &(*link)->next)
    before = *link;
  if (!*link)
    return;
  *link = work->next;
  if (last_due == work)
    last_due = before;
  work->waits = 0;
}

/* What is tried again, since it comes to an end some time. */
static bool may_pass(enum textpoke_error error) {
  return error == TEXTPOKE_ERROR_FOREIGN || error == TEXTPOKE_ERROR_THREADS || error == TEXTPOKE_ERROR_MEMORY;
}

/* Carries one out, without the lock meanwhile. */
static bool carry_out_now(struct textpoke_deferred *work) {
  take_out(work);
  work->running++;
  under_way++;
  pthread_mutex_unlock(&list_lock);
  enum textpoke_error error = textpoke_dec(work->key);
  pthread_mutex_lock(&list_lock);
  under_way--;
  work->running--;
  if (may_pass(error) && !work->waits) {
    if (work->timeout < RARELY)
      work->timeout = 2 * work->timeout + AGAIN;
    put_in(work);
  }
  pthread_cond_broadcast(&one_is_done);
  return !error;
}

/* ---- the thread */

static void *work_off(void *data) {
  prctl(PR_SET_NAME, "textpoke", 0, 0, 0);
  pthread_mutex_lock(&list_lock);
  while (!leaving) {
    long long due = first_due ? first_due->due : 0;
    const struct timespec until = {(time_t)(due / 1000000000), (long)(due % 1000000000)};
    if (!first_due)
      pthread_cond_wait(&list_changed, &list_lock);
    else if (due > monotonic_now())
      pthread_cond_timedwait(&list_changed, &list_lock, &until);
    else
      carry_out_now(first_due);
  }
  pthread_mutex_unlock(&list_lock);
  return data;
}

static bool has_thread(void) { return worker_of == getpid(); }

static bool need_thread(void) {
  pthread_condattr_t monotonic;
  if (has_thread())
    return true;
  pthread_condattr_init(&monotonic);
  pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
  pthread_cond_init(&list_changed, &monotonic);
  pthread_condattr_destroy(&monotonic);
  if (!textpoke_start_thread(&worker, work_off, NULL))
    return false;
  worker_of = getpid();
  __atomic_store_n(&inherited, false, __ATOMIC_RELAXED);
  return true;
}

static void start_inherited(void) {
  pthread_mutex_lock(&list_lock);
  need_thread();
  pthread_mutex_unlock(&list_lock);
}

/* ---- what is asked */

static bool is_last_count(struct static_key *key) { return __atomic_load_n(&key->enabled, __ATOMIC_ACQUIRE) == 1; }

bool textpoke_dec_deferred(struct static_key *key, struct textpoke_deferred *work, unsigned long timeout) {
  if (__atomic_load_n(&inherited, __ATOMIC_RELAXED))
    start_inherited();
  for (;;) {
    if (!is_last_count(key) || !textpoke_started)
      return static_key_slow_dec(key);
    pthread_mutex_lock(&list_lock);
    bool waits = work->waits, has = !waits && need_thread();
    if (has) {
      work->key = key;
      work->timeout = timeout;
      put_in(work);
    }
    pthread_mutex_unlock(&list_lock);
    if (has)
      return true;
    if (!waits)
      return static_key_slow_dec(key);
    if (is_last_count(key)) { /* and that is the one which waits */
      textpoke_say("key %p: decremented below zero", (void *)key);
      return false;
    }
  }
}

bool textpoke_flush_deferred(struct textpoke_deferred *work) {
  bool right = true;
  pthread_mutex_lock(&list_lock);
  if (work->waits)
    right = carry_out_now(work);
  while (work->running)
    pthread_cond_wait(&one_is_done, &list_lock);
  right = right && !work->waits;
  pthread_mutex_unlock(&list_lock);
  return right;
}

/* Keys of an object that leaves. */
void deferred_forget(const struct textpoke_object *object) {
  pthread_mutex_lock(&list_lock);
  for (struct textpoke_deferred *work = first_due, *next; work; work = next) {
    next = work->next;
    if (textpoke_room_at(object, (uintptr_t)work, PF_W))
      take_out(work);
  }
  while (under_way)
    pthread_cond_wait(&one_is_done, &list_lock);
  pthread_mutex_unlock(&list_lock);
}

/* ---- fork, and the end */

/* With none under way: nobody could tell in the child whether it had begun. To be called without the lock of writers, which
 * those wait for. */
void deferred_before_fork(void) {
  pthread_mutex_lock(&list_lock);
  while (under_way)
    pthread_cond_wait(&one_is_done, &list_lock);
}

void deferred_in_parent(void) { pthread_mutex_unlock(&list_lock); }

/* Nobody waits here, whatever the conditions say. */
void deferred_in_child(void) {
  list_changed = one_is_done = (pthread_cond_t)PTHREAD_COND_INITIALIZER;
  inherited = first_due != NULL;
  pthread_mutex_unlock(&list_lock);
}

/* Where the library is unmapped, its thread ends before. */
__attribute__((destructor(101))) static void leave_deferred(void) {
  pthread_mutex_lock(&list_lock);
  bool ends = has_thread() && !textpoke_stays;
  leaving = ends;
  if (ends)
    pthread_cond_signal(&list_changed);
  pthread_mutex_unlock(&list_lock);
  if (ends)
    pthread_join(worker, NULL);
}
