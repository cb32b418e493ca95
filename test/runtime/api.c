/* Every name of the kernel's headers that a program can use, and what it makes of keys and calls. The same source is
 * compiled with patching and without (TEXTPOKE_NO_PATCHING), and does the same. */
#define _GNU_SOURCE
#include <textpoke/jump_label_ratelimit.h>
#include <textpoke/lock.h>

#include <limits.h>
#include <pthread.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "expect.h"

static void shown(const char *line) { puts(line); }
static int is_emulated;

/* ---- keys */

#define CONFIG_SET 1
DEFINE_STATIC_KEY_FALSE(off);
DEFINE_STATIC_KEY_TRUE(on);
static DEFINE_STATIC_KEY_FALSE_RO(local_off);
DEFINE_STATIC_KEY_ARRAY_TRUE(ons, 2);
DEFINE_STATIC_KEY_ARRAY_FALSE(offs, 2);
DEFINE_STATIC_KEY_MAYBE(CONFIG_SET, maybe_on);
DEFINE_STATIC_KEY_MAYBE(CONFIG_NOT_SET, maybe_off);
DECLARE_STATIC_KEY_MAYBE(CONFIG_SET, maybe_on);
static struct static_key old_off = STATIC_KEY_INIT, old_on = STATIC_KEY_INIT_TRUE;

NOINLINE static int all(void) {
  int bits = 0;
  bits |= static_branch_unlikely(&off) ? 1 : 0;
  bits |= static_branch_likely(&on) ? 2 : 0;
  bits |= static_branch_unlikely(&offs[1]) ? 4 : 0;
  bits |= static_branch_likely(&ons[1]) ? 8 : 0;
  bits |= static_branch_maybe(CONFIG_SET, &maybe_on) ? 16 : 0;
  bits |= static_branch_maybe(CONFIG_NOT_SET, &maybe_off) ? 32 : 0;
  bits |= static_key_false(&old_off) ? 64 : 0;
  bits |= static_key_true(&old_on) ? 128 : 0;
  bits |= static_branch_likely(&local_off) ? 256 : 0;
  bits |= static_branch_unlikely(&on) ? 512 : 0;
  return bits;
}

static void keys(void) {
  EXPECT(all() == (2 | 8 | 16 | 128 | 512));
  EXPECT(static_branch_enable(&off) && static_branch_disable(&on) && all() == (1 | 8 | 16 | 128));
  EXPECT(static_branch_inc(&offs[1]) && static_branch_dec(&ons[1]) && all() == (1 | 4 | 16 | 128));
  EXPECT(static_branch_disable_cpuslocked(&maybe_on) && static_branch_enable_cpuslocked(&maybe_off));
  EXPECT(static_key_slow_inc(&old_off) && static_key_slow_dec(&old_on) && all() == (1 | 4 | 32 | 64));
  EXPECT(static_branch_inc_cpuslocked(&local_off) && all() == (1 | 4 | 32 | 64 | 256));
  EXPECT(static_branch_dec_cpuslocked(&local_off) && all() == (1 | 4 | 32 | 64));
  EXPECT(static_key_disable_cpuslocked(&old_off) && static_key_enable_cpuslocked(&old_on));
  EXPECT(static_key_slow_inc_cpuslocked(&old_off) && static_key_slow_dec_cpuslocked(&old_off));
  EXPECT(all() == (1 | 4 | 32 | 128) && !static_key_enabled(&offs[0]) && static_key_enabled(&ons[0]));
  EXPECT(jump_label_enabled(&off) && static_key_count(&off.key) == 1);
  EXPECT(static_key_fast_inc_not_disabled(&off.key) && static_key_count(&off.key) == 2);
  EXPECT(!static_key_fast_inc_not_disabled(&on.key) && static_key_count(&on.key) == 0);
}

/* What is refused, and has changed nothing. */
static void refused(void) {
  struct textpoke_change below[] = {{TEXTPOKE_INC, &offs[0], NULL, NULL}, {TEXTPOKE_DEC, &on, NULL, NULL}};
  struct textpoke_change no_key = {TEXTPOKE_ENABLE, (void *)all, NULL, NULL};
  struct textpoke_change no_change = {(enum textpoke_operation)9, &off, NULL, NULL};
  int before = all();
  textpoke_set_log(shown);
  EXPECT(!static_branch_dec(&on) && !static_branch_enable(&off) && !static_branch_disable(&off));
  old_on.enabled = INT_MAX;
  EXPECT(!static_key_slow_inc(&old_on) && old_on.enabled == INT_MAX);
  old_on.enabled = 1;
  EXPECT(textpoke_apply(below, 2) == TEXTPOKE_ERROR_COUNT);
  EXPECT(textpoke_apply(&no_key, 1) == TEXTPOKE_ERROR_KEY);
  EXPECT(textpoke_apply(&no_change, 1) == TEXTPOKE_ERROR_ARGUMENT);
  EXPECT(textpoke_apply(NULL, 1) == TEXTPOKE_ERROR_ARGUMENT && textpoke_apply(NULL, 0) == TEXTPOKE_OK);
  EXPECT(textpoke_apply(&no_key, (size_t)-1) == TEXTPOKE_ERROR_MEMORY);
  EXPECT(textpoke_set_cpus(0) == TEXTPOKE_ERROR_ARGUMENT && textpoke_set_cpus(2) == TEXTPOKE_OK);
  EXPECT(all() == before && !static_key_enabled(&offs[0]));
  textpoke_set_log(NULL);
}

/* ---- calls */

static int one(int n) { return n + 1; }
static int two(int n) { return n + 2; }
static void mark(int *n) { *n += 1; }
static int counted;
static int *count_it(int *n) {
  counted++;
  return n;
}
DEFINE_STATIC_CALL(number, one);
DEFINE_STATIC_CALL_NULL(hook, mark);
DEFINE_STATIC_CALL_RET0(zero, one);
DEFINE_STATIC_CALL_LOCAL(local_number, two);
DECLARE_STATIC_CALL(number, one);
DECLARE_STATIC_CALL_NULL(typed_hook, void (*)(int *));
DEFINE_STATIC_CALL_NULL(typed_number, int(int));

NOINLINE static int numbers(int n) {
  return static_call(number)(n) + 10 * static_call(zero)(n) + 100 * static_call(local_number)(n) +
         1000 * static_call_mod(number)(n);
}
NOINLINE static int hooked(void) {
  int n = 0;
  static_call_cond(hook)(count_it(&n));
  static_call_cond(typed_hook)(&n);
  return n;
}

static void calls(void) {
  static long data;
  EXPECT(numbers(1) == 2302 && static_call_query(number) == (void *)one);
  EXPECT(static_call_query(zero) == (void *)&__static_call_return0 && !static_call_query(hook));
  EXPECT(!static_call_update(number, two) && !static_call_update(zero, &one) && numbers(1) == 3323);
  EXPECT(!static_call_update(local_number, (void *)&__static_call_return0) && numbers(1) == 3023);
  EXPECT(static_call_query(number) == (void *)two);
  EXPECT(hooked() == 0 && counted == 1); /* arguments are looked at in any case */
  EXPECT(!static_call_update(hook, mark) && hooked() == 1 && !static_call_update(typed_hook, mark) && hooked() == 2);
  EXPECT(!static_call_update(hook, 0) && hooked() == 1 && !static_call_query(hook));
  EXPECT(!static_call_query(typed_number) && !static_call_update(typed_number, one));
  EXPECT(static_call(typed_number)(4) == 5);
  textpoke_set_log(shown);
  EXPECT(textpoke_update_call(&STATIC_CALL_KEY(number), TEXTPOKE_TRAMPOLINE(number), &data) == TEXTPOKE_ERROR_FUNCTION);
  EXPECT(__static_call_update(NULL, TEXTPOKE_TRAMPOLINE(number), (void *)one) == TEXTPOKE_ERROR_KEY);
  EXPECT(static_call_query(number) == (void *)two && numbers(1) == 3023);
  textpoke_set_log(NULL);
}

/* ---- deferred keys */

DEFINE_STATIC_KEY_DEFERRED_FALSE(slow, 200);
DEFINE_STATIC_KEY_DEFERRED_TRUE(never, ULONG_MAX);
static DEFINE_STATIC_KEY_DEFERRED_FALSE(quick, 20);
DECLARE_STATIC_KEY_DEFERRED_FALSE(slow);
static struct static_key_deferred old_deferred = {STATIC_KEY_INIT_FALSE, 0, TEXTPOKE_DEFERRED_INIT};

NOINLINE static int is_slow(void) { return static_branch_unlikely(&slow.key) ? 1 : 0; }
NOINLINE static int is_never(void) { return static_branch_likely(&never.key) ? 1 : 0; }
NOINLINE static int is_quick(void) { return static_branch_unlikely(&quick.key) ? 1 : 0; }
NOINLINE static int is_old(void) { return static_key_false(&old_deferred.key) ? 1 : 0; }

static double seconds(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* A minute is longer than any machine under load takes. */
static int goes_off(int (*is_on)(void)) {
  for (double begin = seconds(); is_on(); usleep(1000))
    if (seconds() > begin + 60)
      return 0;
  return 1;
}

static void deferred(void) {
  double begin = seconds();
  EXPECT(static_branch_deferred_inc(&slow) && is_slow() && static_branch_slow_dec_deferred(&slow));
  if (seconds() < begin + 0.15)
    EXPECT(is_slow() && static_key_count(&slow.key.key) == 1);
  EXPECT(goes_off(is_slow) && seconds() > begin + 0.19 && !static_key_enabled(&slow.key));
  /* While others count on it, it is decremented at once; the last one waits. */
  EXPECT(is_never() && static_branch_deferred_inc(&never) && static_branch_slow_dec_deferred(&never));
  EXPECT(static_key_count(&never.key.key) == 1 && static_branch_slow_dec_deferred(&never) && is_never());
  EXPECT(static_branch_deferred_inc(&never) && static_key_count(&never.key.key) == 2);
  EXPECT(static_branch_slow_dec_deferred(&never) && static_key_count(&never.key.key) == 1 && is_never());
  textpoke_set_log(shown);
  EXPECT(!static_branch_slow_dec_deferred(&never)); /* there is only the one that waits */
  textpoke_set_log(NULL);
  /* One that is due later does not keep one back that is due sooner, and that comes to the list behind it. */
  EXPECT(static_branch_deferred_inc(&quick) && static_branch_slow_dec_deferred(&quick) && goes_off(is_quick));
  EXPECT(is_never() && static_key_deferred_flush(&never) && !is_never() && !static_key_enabled(&never.key));
  EXPECT(static_key_deferred_flush(&never) && static_key_deferred_flush(&slow));
  textpoke_set_log(shown);
  EXPECT(!static_branch_slow_dec_deferred(&never) && !static_key_enabled(&never.key));
  textpoke_set_log(NULL);
  jump_label_rate_limit(&old_deferred, 60000);
  EXPECT(static_key_slow_inc(&old_deferred.key) && static_key_slow_dec_deferred(&old_deferred) && is_old());
  EXPECT(static_key_deferred_flush(&old_deferred) && !is_old());
}

/* What waits when a child is made, waits in both. The child's goes on when it asks for the next one. */
static void deferred_forks(void) {
  int status;
  EXPECT(static_branch_enable(&never.key) && static_branch_slow_dec_deferred(&never));
  EXPECT(static_branch_deferred_inc(&slow) && static_branch_slow_dec_deferred(&slow));
  pid_t child = fork();
  if (child == 0 && is_emulated) { /* qemu-user 7.2 dies of a thread that such a child makes */
    EXPECT(is_slow() && static_key_deferred_flush(&slow) && !is_slow());
    EXPECT(is_never() && static_key_deferred_flush(&never) && !is_never());
    _exit(0);
  }
  if (child == 0) {
    EXPECT(is_never() && is_slow());
    EXPECT(static_branch_deferred_inc(&quick) && static_branch_slow_dec_deferred(&quick));
    EXPECT(goes_off(is_quick) && goes_off(is_slow) && is_never());
    EXPECT(static_key_deferred_flush(&never) && !is_never());
    _exit(0);
  }
  EXPECT(goes_off(is_slow));
  EXPECT(waitpid(child, &status, 0) == child && status == 0 && is_never());
  EXPECT(static_key_deferred_flush(&never) && !is_never());
}

/* Increments and deferred decrements from many threads, while others fork and flush: the count comes out even. */
static void *count_up_and_down(void *data) {
  for (int i = 0; i < 300; i++) {
    EXPECT(static_branch_deferred_inc(&quick) && is_quick() && static_branch_slow_dec_deferred(&quick));
    if (i % 50 == 0)
      usleep(25000);
    if (i % 70 == 0)
      static_key_deferred_flush(&quick);
  }
  return data;
}

static void deferred_threads(void) {
  pthread_t threads[4];
  int status;
  jump_label_rate_limit(&old_deferred, 5);
  quick.timeout = 1;
  for (int i = 0; i < 4; i++)
    EXPECT(!pthread_create(&threads[i], NULL, count_up_and_down, NULL));
  for (int i = 0; i < (is_emulated ? 0 : 8); i++) {
    pid_t child = fork();
    if (child == 0) {
      static_key_deferred_flush(&quick);
      _exit(0);
    }
    EXPECT(waitpid(child, &status, 0) == child && status == 0);
  }
  for (int i = 0; i < 4; i++)
    EXPECT(!pthread_join(threads[i], NULL));
  EXPECT(static_key_deferred_flush(&quick) && goes_off(is_quick) && static_key_count(&quick.key.key) == 0);
}

/* ---- locks */

#ifdef LOCK_PREFIX
static int shared;
NOINLINE static void add(int n) { __asm__ volatile(LOCK_PREFIX "addl %1, %0" : "+m"(shared) : "r"(n) : "memory"); }
NOINLINE static void add_here(int n) {
  __asm__ volatile(LOCK_PREFIX_HERE "lock; addl %1, %0" : "+m"(shared) : "r"(n) : "memory");
}
static void locks(void) {
  for (int cpus = 1; cpus < 3; cpus++) {
    EXPECT(!textpoke_set_cpus(cpus));
    add(1);
    add_here(2);
  }
  EXPECT(shared == 6);
}
#else
static void locks(void) {}
#endif

/* ---- what is reserved, and tables */

static void reserved(void) {
  EXPECT(!jump_label_text_reserved((void *)one, (void *)one) && !__static_call_text_reserved((void *)one, (void *)one));
#ifndef TEXTPOKE_NO_PATCHING
  extern struct jump_entry start[] __asm__("__start___jump_table") __attribute__((visibility("hidden")));
  extern struct jump_entry stop[] __asm__("__stop___jump_table") __attribute__((visibility("hidden")));
  unsigned long before = 0;
  int likely = 0; /* 1: a likely branch of the key; 2: an unlikely one */
  for (const struct jump_entry *entry = start; entry < stop; entry++) {
    void *code = (void *)jump_entry_code(entry);
    EXPECT(jump_label_text_reserved(code, code) && !static_call_text_reserved(code, code));
    EXPECT(jump_entry_target(entry) && !jump_entry_is_init(entry));
    EXPECT((unsigned long)jump_entry_key(entry) >= before); /* sorted */
    before = (unsigned long)jump_entry_key(entry);
    if (jump_entry_key(entry) == &on.key)
      likely |= jump_entry_is_branch(entry) ? 1 : 2;
  }
  EXPECT(likely == 3);
#endif
}

/* With an argument, the emulator is one that cannot do all. */
int main(int argc, char **argv) {
  is_emulated = argc > 1 && argv[1];
  setvbuf(stdout, NULL, _IONBF, 0);
  EXPECT(!textpoke_init() && !textpoke_init());
  keys();
  refused();
  calls();
  deferred();
  deferred_forks();
  deferred_threads();
  locks();
  reserved();
  puts(textpoke_ways());
  return 0;
}
