/* Tables that are damaged before textpoke_init() reads them: `broken NAME` does one damage, and prints the error. Whatever
 * it is, no byte of text and no key has changed, and the program goes on as it was compiled. */
#define _GNU_SOURCE
#include <textpoke/lock.h>
#include <textpoke/runtime.h>

#include <limits.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "expect.h"

DEFINE_STATIC_KEY_FALSE(off);
DEFINE_STATIC_KEY_FALSE(other);
DEFINE_STATIC_KEY_TRUE(on);
static int one(int n) { return n + 1; }
static int two(int n) { return n + 2; }
DEFINE_STATIC_CALL(number, one);
DEFINE_STATIC_CALL(next, two);
static const long constant[4] = {1, 2, 3, 4};

NOINLINE static int branches(void) {
  int bits = static_branch_unlikely(&off) ? 1 : 0;
  bits |= static_branch_likely(&on) ? 2 : 0;
  bits |= static_branch_unlikely(&other) ? 4 : 0;
  return bits;
}
NOINLINE static int calls(int n) { return static_call(number)(n) + 10 * static_call(next)(n); }
#ifdef __x86_64__
static int sum;
NOINLINE static void add(void) { __asm__ volatile(LOCK_PREFIX "incl %0" : "+m"(sum) : : "memory"); }
#endif

/* ---- tables */

#define BOUND(name, symbol, type) extern type name[] __asm__(symbol) __attribute__((weak, visibility("hidden")))
BOUND(jumps, "__start___jump_table", struct jump_entry);
BOUND(jumps_end, "__stop___jump_table", struct jump_entry);
BOUND(sites, "__start_static_call_sites", struct static_call_site);
#ifdef __x86_64__
BOUND(locks, "__smp_locks", int);
#endif

static void open_table(void *entry) {
  uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), start = (uintptr_t)entry & -page;
  EXPECT(!mprotect((void *)start, page, PROT_READ | PROT_WRITE));
  mprotect((void *)(start + page), page, PROT_READ | PROT_WRITE); /* if it goes on there */
}
static void point(int *field, const void *to, int more) {
  open_table(field);
  *field = (int)((intptr_t)to - (intptr_t)field + more);
}
static void point_key(long *field, const void *to, int bits) {
  open_table(field);
  *field = (long)((intptr_t)to - (intptr_t)field + bits);
}
static struct jump_entry *jump_of(const void *key) {
  for (struct jump_entry *entry = jumps; entry < jumps_end; entry++)
    if (jump_entry_key(entry) == key)
      return entry;
  abort();
}
static void *code_of(const void *key) { return (void *)jump_entry_code(jump_of(key)); }

/* ---- damages */

static void jump_in_data(void) { point(&jump_of(&off)->code, &on, 0); }
static void jump_far(void) {
  open_table(jump_of(&off));
  jump_of(&off)->code = INT32_MIN;
}
static void jump_misplaced(void) { point(&jump_of(&off)->code, code_of(&off), 4); }
static void target_in_data(void) { point(&jump_of(&off)->target, &on, 0); }
static void key_in_text(void) { point_key(&jump_of(&off)->key, (void *)one, 0); }
static void key_constant(void) { point_key(&jump_of(&off)->key, constant, 0); }
static void key_far(void) {
  open_table(jump_of(&off));
  jump_of(&off)->key = LONG_MIN / 2;
}
static void key_negative(void) { off.key.enabled = -5; }
static void two_keys(void) { point(&jump_of(&other)->code, code_of(&off), 0); }
static void key_of_call(void) { point_key(&jump_of(&off)->key, &STATIC_CALL_KEY(number), 0); }
static void call_in_data(void) { point(&sites->addr, &on, 0); }
static void call_misplaced(void) { point(&sites->addr, code_of(&off), 0); }
static void call_key_in_text(void) { point(&sites->key, (void *)((uintptr_t)one & ~(uintptr_t)3), 0); }
static void call_key_constant(void) { point(&sites->key, constant, 0); }
static void call_of_data(void) { STATIC_CALL_KEY(number).func = &on; }
static void no_signal(void) {
  for (int number = SIGRTMIN; number <= SIGRTMAX; number++)
    signal(number, SIG_IGN);
}
static void no_writing(void) {
  const struct rlimit none = {3, 3};
  setrlimit(RLIMIT_NOFILE, &none);
}
static void lock_in_data(void) {
#ifdef __x86_64__
  point(locks, &on, 0);
#endif
}

/* The first entry and the last change places: init sorts what is not sorted. */
static void put(struct jump_entry *entry, const unsigned long *from) {
  point(&entry->code, (void *)from[0], 0);
  point(&entry->target, (void *)from[1], 0);
  point_key(&entry->key, (void *)from[2], (int)from[3]);
}
static void not_sorted(void) {
  struct jump_entry *first = jumps, *last = jumps + (jumps_end - jumps - 1);
  unsigned long fields[2][4];
  for (int i = 0; i < 2; i++) {
    const struct jump_entry *entry = i ? last : first;
    fields[i][0] = jump_entry_code(entry);
    fields[i][1] = jump_entry_target(entry);
    fields[i][2] = (unsigned long)jump_entry_key(entry);
    fields[i][3] = jump_entry_is_branch(entry);
  }
  put(first, fields[1]);
  put(last, fields[0]);
}
static void nothing(void) {}

static const struct {
  const char *name;
  void (*damage)(void);
} damages[] = {
    {"jump-in-data", jump_in_data},         {"jump-far", jump_far},
    {"jump-misplaced", jump_misplaced},     {"target-in-data", target_in_data},
    {"key-in-text", key_in_text},           {"key-constant", key_constant},
    {"key-far", key_far},                   {"key-negative", key_negative},
    {"two-keys", two_keys},                 {"key-of-call", key_of_call},
    {"call-in-data", call_in_data},         {"call-misplaced", call_misplaced},
    {"call-key-in-text", call_key_in_text}, {"call-key-constant", call_key_constant},
    {"call-of-data", call_of_data},         {"lock-in-data", lock_in_data},
    {"no-signal", no_signal},               {"no-writing", no_writing},
    {"not-sorted", not_sorted},             {"nothing", nothing},
};

static uint32_t hash_of_text(void) {
  extern const unsigned char start[] __asm__("__executable_start"), end[] __asm__("etext");
  uint32_t hash = 0;
  for (const unsigned char *at = start; at < end; at++)
    hash = hash * 31 + *at;
  return hash;
}

/* As compiled, and changed by nobody. */
static void expect_unchanged(uint32_t hash) {
  EXPECT(branches() == 2 && calls(1) == 32 && hash_of_text() == hash);
  EXPECT(static_key_enabled(&on) && !static_key_enabled(&other));
}

int main(int argc, char **argv) {
  uint32_t hash = hash_of_text();
  size_t i = 0, count = sizeof damages / sizeof *damages;
#ifdef __x86_64__
  add();
#endif
  while (argc > 1 && i < count && strcmp(damages[i].name, argv[1]))
    i++;
  if (argc < 2 || i == count)
    return 2;
  damages[i].damage();
  enum textpoke_error error = textpoke_init();
  printf("%d %s\n", (int)error, textpoke_strerror(error));
  if (error) {
    bool mended = damages[i].damage == call_of_data;
    STATIC_CALL_KEY(number).func = (void *)one;
    expect_unchanged(hash);
    if (mended)
      return textpoke_init();
    EXPECT(textpoke_init() == error && !static_branch_enable(&other) && !static_branch_disable(&on));
    if (argv[1][0] != 'c')
      EXPECT(static_call_update(next, one) == error);
    expect_unchanged(hash);
    return 0;
  }
  for (const struct jump_entry *entry = jumps; entry + 1 < jumps_end; entry++)
    EXPECT(jump_entry_key(entry) <= jump_entry_key(entry + 1));
  EXPECT(static_branch_enable(&off) && static_branch_enable(&other) && static_branch_disable(&on) && branches() == 5);
  EXPECT(!static_call_update(number, two) && calls(1) == 33);
  return 0;
}
