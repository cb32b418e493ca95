/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "textpoke_runtime.h"

#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#if defined(__x86_64__)
#include "x86-64.h"
#elif defined(__aarch64__)
#include "aarch64.h"
#elif defined(__arm__)
#include "arm.h"
#else
#error "textpoke: x86-64, AArch64 and 32-bit ARM"
#endif

/* Each field is the distance from itself to what it names. Low bits of a key field: 1 is the branch's default (likely),
 * or a tail call; 2 says that the site lies in init text. */
struct jump_entry {
  int32_t code, target;
  long key;
};
struct call_site {
  int32_t addr, key;
};

#define HIDDEN __attribute__((visibility("hidden")))
extern struct jump_entry __start___jump_table[] HIDDEN, __stop___jump_table[] HIDDEN;
extern struct call_site __start_static_call_sites[] HIDDEN, __stop_static_call_sites[] HIDDEN;
#ifdef __x86_64__
extern int32_t smp_start[] __asm__("__smp_locks") HIDDEN, smp_stop[] __asm__("__smp_locks_end") HIDDEN;
#else
extern int32_t smp_start[] __asm__("__smp_barriers") HIDDEN, smp_stop[] __asm__("__smp_barriers_end") HIDDEN;
#endif
extern char _sinittext[] __attribute__((weak)), _einittext[] __attribute__((weak));
extern long __static_call_return0(void) __attribute__((weak)) HIDDEN;

#define TO(field) ((uintptr_t)&(field) + (intptr_t)(field))

/* The tables, decoded and in order. */
struct branch {
  uint8_t *site;
  uintptr_t target;
  struct static_key *key;
  int likely;
};
struct call {
  uint8_t *site;
  struct static_call_key *key;
  int tail;
  uintptr_t trampoline;
};
static struct branch *branches;
static struct call *calls;
static size_t branch_count, call_count;

static int is_init(const void *place) {
  return _sinittext && (char *)place >= _sinittext && (char *)place < _einittext;
}

/* Without the bit that says Thumb: where the instructions are. */
static uint8_t *place_of(uintptr_t function) {
#ifdef __thumb__
  function &= ~(uintptr_t)1;
#endif
  return (uint8_t *)function;
}

/* Where sites and trampolines lie, from the first to behind the last. */
static uintptr_t text_start = UINTPTR_MAX, text_end;

static void cover(const uint8_t *site) {
  if ((uintptr_t)site < text_start)
    text_start = (uintptr_t)site;
  if ((uintptr_t)site + SITE_SIZE > text_end)
    text_end = (uintptr_t)site + SITE_SIZE;
}

/* All of it, writable or not; executable always. */
static int protect(int flags) {
  uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
  uintptr_t start = text_start & -page, end = (text_end + page - 1) & -page;
  return end > start && mprotect((void *)start, end - start, PROT_READ | PROT_EXEC | flags);
}

static void begin(void) {
  if (protect(PROT_WRITE))
    perror("textpoke: text cannot be made writable"), abort();
}

static void end(void) { protect(0); }

static void poke(uint8_t *place, const uint8_t *bytes, int size) {
  if (size == 0 || !memcmp(place, bytes, size))
    return;
  memcpy(place, bytes, size);
  __builtin___clear_cache((char *)place, (char *)place + size);
}

/* A NOP where the key's state is the branch's default, else a jump (include/linux/jump_label.h). */
static void set_branch(const struct branch *branch, int enabled) {
  uint8_t bytes[SITE_SIZE];
  poke(branch->site, bytes, encode_branch(bytes, branch->site, branch->target, enabled != branch->likely));
}

static void set_key(struct static_key *key, int enabled) {
  begin();
  for (size_t i = 0; i < branch_count; i++)
    if (branches[i].key == key)
      set_branch(&branches[i], enabled);
  end();
}

static void set_call(const struct call *call) {
  uint8_t bytes[SITE_SIZE];
  uintptr_t function = (uintptr_t)call->key->func;
  int return0 = function && function == (uintptr_t)&__static_call_return0;
  poke(call->site, bytes, encode_call(bytes, call->site, call->tail, function, return0, call->trampoline));
}

static void set_trampoline(uintptr_t trampoline, uintptr_t function) {
  uint8_t bytes[SITE_SIZE];
  poke(place_of(trampoline), bytes, encode_trampoline(bytes, (uintptr_t)place_of(trampoline), function));
}

static int by_number(uintptr_t a, uintptr_t b) { return a < b ? -1 : a > b; }

static int by_key_then_code(const void *x, const void *y) {
  const struct branch *a = x, *b = y;
  int order = by_number((uintptr_t)a->key, (uintptr_t)b->key);
  return order ? order : by_number((uintptr_t)a->site, (uintptr_t)b->site);
}

static int by_key_then_site(const void *x, const void *y) {
  const struct call *a = x, *b = y;
  int order = by_number((uintptr_t)a->key, (uintptr_t)b->key);
  return order ? order : by_number((uintptr_t)a->site, (uintptr_t)b->site);
}

static int complain(const char *what, const void *place) {
  fprintf(stderr, "textpoke: %p does not hold %s\n", place, what);
  return -1;
}

static int read_branches(void) {
  branch_count = __stop___jump_table - __start___jump_table;
  branches = calloc(branch_count + 1, sizeof *branches);
  for (size_t i = 0; i < branch_count; i++) {
    struct jump_entry *entry = &__start___jump_table[i];
    uintptr_t key = TO(entry->key);
    branches[i] = (struct branch){(uint8_t *)TO(entry->code), TO(entry->target),
                                  (struct static_key *)(key & ~(uintptr_t)3), key & 1};
    cover(branches[i].site);
    if (!branch_size(branches[i].site))
      return complain("a NOP or a jump", branches[i].site);
  }
  qsort(branches, branch_count, sizeof *branches, by_key_then_code);
  return 0;
}

static int read_calls(void) {
  call_count = __stop_static_call_sites - __start_static_call_sites;
  calls = calloc(call_count + 1, sizeof *calls);
  for (size_t i = 0; i < call_count; i++) {
    struct call_site *entry = &__start_static_call_sites[i];
    uintptr_t key = TO(entry->key);
    uint8_t *site = (uint8_t *)TO(entry->addr);
    if (!is_call_site(site, key & 1))
      return complain("a call of a trampoline", site);
    calls[i] = (struct call){site, (struct static_call_key *)(key & ~(uintptr_t)3), key & 1, target_of(site)};
    cover(site);
    cover(place_of(calls[i].trampoline));
  }
  qsort(calls, call_count, sizeof *calls, by_key_then_site);
  return 0;
}

int textpoke_init(void) {
  if (read_branches() || read_calls())
    return -1;
  for (int32_t *lock = smp_start; lock < smp_stop; lock++)
    cover((uint8_t *)TO(*lock));
  if (protect(PROT_WRITE)) {
    perror("textpoke: text cannot be made writable");
    return -1;
  }
  /* jump_label_init */
  for (size_t i = 0; i < branch_count; i++) {
    const struct branch *branch = &branches[i];
    struct jump_entry *entry = &__start___jump_table[i];
    set_branch(branch, branch->key->enabled > 0);
    entry->code = (int32_t)((uintptr_t)branch->site - (uintptr_t)&entry->code);
    entry->target = (int32_t)(branch->target - (uintptr_t)&entry->target);
    entry->key = (long)((uintptr_t)branch->key - (uintptr_t)&entry->key) + branch->likely + 2 * is_init(branch->site);
  }
  /* static_call_init: sites first, from their trampolines; these then say what their keys say. */
  for (size_t i = 0; i < call_count; i++) {
    const struct call *call = &calls[i];
    struct call_site *entry = &__start_static_call_sites[i];
    set_call(call);
    entry->addr = (int32_t)((uintptr_t)call->site - (uintptr_t)&entry->addr);
    entry->key = (int32_t)((uintptr_t)call->key - (uintptr_t)&entry->key) + call->tail + 2 * is_init(call->site);
  }
  for (size_t i = 0; i < call_count; i++)
    set_trampoline(calls[i].trampoline, (uintptr_t)calls[i].key->func);
  end();
  return 0;
}

void textpoke_set_cpus(int cpus) {
  uint8_t bytes[SITE_SIZE];
  begin();
  for (int32_t *lock = smp_start; lock < smp_stop; lock++) {
    uint8_t *site = (uint8_t *)TO(*lock);
    poke(site, bytes, encode_smp(bytes, site, cpus));
  }
  end();
}

void static_key_enable(struct static_key *key) {
  if (key->enabled > 0) {
    if (key->enabled != 1)
      fprintf(stderr, "textpoke: enabling a key with count %d\n", key->enabled);
    return;
  }
  if (key->enabled == 0) {
    key->enabled = -1;
    set_key(key, 1);
    key->enabled = 1;
  }
}

void static_key_disable(struct static_key *key) {
  if (key->enabled != 1) {
    if (key->enabled != 0)
      fprintf(stderr, "textpoke: disabling a key with count %d\n", key->enabled);
    return;
  }
  key->enabled = 0;
  set_key(key, 0);
}

void static_key_slow_inc(struct static_key *key) {
  if (key->enabled == 0) {
    key->enabled = -1;
    set_key(key, 1);
    key->enabled = 1;
  } else if (key->enabled > 0 && key->enabled < INT_MAX) {
    key->enabled++;
  } else {
    fprintf(stderr, "textpoke: incrementing a key with count %d\n", key->enabled);
  }
}

void static_key_slow_dec(struct static_key *key) {
  if (key->enabled == 1) {
    key->enabled = 0;
    set_key(key, 0);
    return;
  }
  if (key->enabled <= 0)
    fprintf(stderr, "textpoke: decrementing a key with count %d\n", key->enabled);
  if (key->enabled != 0 && key->enabled != -1)
    key->enabled--;
}

void textpoke_update_call(struct static_call_key *key, void *trampoline, void *function) {
  key->func = function;
  cover(place_of((uintptr_t)trampoline)); /* a call that no site makes */
  begin();
  set_trampoline((uintptr_t)trampoline, (uintptr_t)function);
  for (size_t i = 0; i < call_count; i++)
    if (calls[i].key == key)
      set_call(&calls[i]);
  end();
}
