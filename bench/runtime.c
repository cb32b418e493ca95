/* What sites cost while they are off, and what it costs to change them.
 *
 *     runtime sites ROUNDS              one line a round: nanoseconds of each kind of site
 *     runtime changes ROUNDS THREADS    one line a round: microseconds of each kind of change, while threads run the sites
 *
 * Lines are JSON. Each round measures everything once, so that what disturbs it disturbs all of it. Times of sites are CPU time
 * of the thread, less that of the same loop without sites; times of changes are of the clock. Each is the best of a few. */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <textpoke/runtime.h>
#include <time.h>

#define TEN(code) code code code code code code code code code code
#define HUNDRED(code) TEN(TEN(code))
#define ALONE __attribute__((noipa))

enum { PER_LOOP = 10 /* sites in a loop's body */, LOOPS = 50000, TIMES = 9, TIMES_CHANGED = 3 };

/* ---- sites */

DEFINE_STATIC_KEY_FALSE(off);
DEFINE_STATIC_KEY_TRUE(on);
/* Global, so that the compiler cannot know what they are. */
int flag;
atomic_int shared_flag;
ALONE static void rare(void) { __asm__ volatile(""); }

ALONE static int add_one(int n) { return n + 1; }
ALONE static void nothing(int n) { __asm__ volatile("" : : "r"(n)); }
int (*pointer)(int) = add_one;
DEFINE_STATIC_CALL(call, add_one);
DEFINE_STATIC_CALL_NULL(hook, nothing);
void (*hook_pointer)(int);

/* The compiler knows nothing of memory behind each site: it loads what the site looks at again, and keeps each. */
#define FORGET __asm__ volatile("" : : : "memory");
#define USE(value)                                                                                           \
  do {                                                                                                       \
    int used = (value);                                                                                      \
    __asm__ volatile("" : : "r"(used) : "memory");                                                           \
  } while (0);
#define LOOP(name, attributes, code)                                                                         \
  ALONE attributes static void loop_##name(int n) {                                                          \
    for (int i = 0; i < n; i++) {                                                                            \
      TEN(code)                                                                                              \
    }                                                                                                        \
  }

LOOP(empty, , FORGET)
LOOP(branch_off, , if (static_branch_unlikely(&off)) rare(); FORGET)
LOOP(branch_likely_on, , if (!static_branch_likely(&on)) rare(); FORGET)
LOOP(branch_on, , if (static_branch_unlikely(&on)) FORGET)
LOOP(plain_if, , if (flag) rare(); FORGET)
LOOP(hinted_if, , if (__builtin_expect(flag, 0)) rare(); FORGET)
LOOP(atomic_relaxed, , if (atomic_load_explicit(&shared_flag, memory_order_relaxed)) rare(); FORGET)
LOOP(atomic_acquire, , if (atomic_load_explicit(&shared_flag, memory_order_acquire)) rare(); FORGET)

LOOP(direct_call, , USE(add_one(i)))
LOOP(static_call, , USE(static_call(call)(i)))
LOOP(pointer_call, , USE(pointer(i)))
LOOP(static_call_null, , static_call_cond(hook)(i); FORGET)
LOOP(pointer_null, , if (hook_pointer) hook_pointer(i); FORGET)
#if defined __x86_64__ && !defined __clang__
/* What -mindirect-branch=thunk makes of the call. */
#define WITH_RETPOLINE 1
LOOP(pointer_retpoline, __attribute__((indirect_branch("thunk"))), USE(pointer(i)))
#endif

static const struct {
  const char *name;
  void (*loop)(int);
} sites[] = {
    {"branch_off", loop_branch_off},
    {"branch_likely_on", loop_branch_likely_on},
    {"branch_on", loop_branch_on},
    {"plain_if", loop_plain_if},
    {"hinted_if", loop_hinted_if},
    {"atomic_relaxed", loop_atomic_relaxed},
    {"atomic_acquire", loop_atomic_acquire},
    {"direct_call", loop_direct_call},
    {"static_call", loop_static_call},
    {"pointer_call", loop_pointer_call},
#ifdef WITH_RETPOLINE
    {"pointer_retpoline", loop_pointer_retpoline},
#endif
    {"static_call_null", loop_static_call_null},
    {"pointer_null", loop_pointer_null},
};

static double now(clockid_t clock) {
  struct timespec time;
  clock_gettime(clock, &time);
  return 1e9 * (double)time.tv_sec + (double)time.tv_nsec;
}

static double time_of(void (*loop)(int)) {
  double best = 1e18;
  for (int i = 0; i < TIMES; i++) {
    double start = now(CLOCK_THREAD_CPUTIME_ID);
    loop(LOOPS);
    double time = now(CLOCK_THREAD_CPUTIME_ID) - start;
    best = time < best ? time : best;
  }
  return best;
}

static void measure_sites(void) {
  double empty = time_of(loop_empty);
  for (size_t i = 0; i < sizeof sites / sizeof *sites; i++)
    printf("%s\"%s\":%.4f", i ? "," : "{", sites[i].name, (time_of(sites[i].loop) - empty) / LOOPS / PER_LOOP);
  puts("}");
}

/* ---- changes */

DEFINE_STATIC_KEY_FALSE(key_1);
DEFINE_STATIC_KEY_FALSE(key_100);
DEFINE_STATIC_KEY_FALSE(key_10000);
DEFINE_STATIC_KEY_ARRAY_FALSE(keys, 100);

#define COUNT(key) if (static_branch_unlikely(key)) seen++;
#define READER(name, code)                                                                                   \
  ALONE static int name(void) {                                                                              \
    int seen = 0;                                                                                            \
    code return seen;                                                                                        \
  }
READER(read_1, COUNT(&key_1))
READER(read_100, HUNDRED(COUNT(&key_100)))

/* With each number of two digits. */
#define ROW(macro, digit)                                                                                    \
  macro(digit##0) macro(digit##1) macro(digit##2) macro(digit##3) macro(digit##4)                            \
  macro(digit##5) macro(digit##6) macro(digit##7) macro(digit##8) macro(digit##9)
#define ALL(macro)                                                                                           \
  ROW(macro, 0) ROW(macro, 1) ROW(macro, 2) ROW(macro, 3) ROW(macro, 4)                                      \
  ROW(macro, 5) ROW(macro, 6) ROW(macro, 7) ROW(macro, 8) ROW(macro, 9)
#define PART(n) READER(part_##n, HUNDRED(COUNT(&key_10000)))
#define ADD(n) seen += part_##n();
#define COUNT_OF_ARRAY(n) COUNT(&keys[1##n - 100])
ALL(PART)
READER(read_10000, ALL(ADD))
READER(read_keys, ALL(COUNT_OF_ARRAY))

static void require(bool holds, const char *what) {
  if (holds)
    return;
  fprintf(stderr, "runtime: %s\n", what);
  exit(1);
}

/* The time of a change of some keys, one after another or as one. It is seen at every site behind it. */
static double time_of_change(struct static_key_false *first, size_t count, bool as_one, bool enable) {
  struct textpoke_change list[100];
  for (size_t i = 0; i < count; i++)
    list[i] = (struct textpoke_change){enable ? TEXTPOKE_ENABLE : TEXTPOKE_DISABLE, &first[i].key, NULL, NULL};
  bool done = true;
  double start = now(CLOCK_MONOTONIC);
  if (as_one)
    done = !textpoke_apply(list, count);
  else
    for (size_t i = 0; i < count; i++)
      done = !textpoke_apply(&list[i], 1) && done;
  double time = now(CLOCK_MONOTONIC) - start;
  require(done, "a change failed");
  return time;
}

/* Microseconds of a change, the mean of there and back. */
static double cost_of_keys(struct static_key_false *first, size_t count, bool as_one, int (*read)(void), int expected) {
  double best = 1e18;
  for (int i = 0; i < TIMES_CHANGED; i++) {
    double time = time_of_change(first, count, as_one, true);
    require(read() == expected, "a site does not follow its key");
    time += time_of_change(first, count, as_one, false);
    require(read() == 0, "a site does not follow its key back");
    best = time < best ? time : best;
  }
  return best / 2 / 1000;
}

ALONE static int read_call(void) { return static_call(call)(1); }
static int add_two(int n) { return n + 2; }

static double cost_of_call(void) {
  double best = 1e18;
  for (int i = 0; i < TIMES_CHANGED; i++) {
    double start = now(CLOCK_MONOTONIC);
    bool done = !static_call_update(call, add_two);
    double time = now(CLOCK_MONOTONIC) - start;
    require(done && read_call() == 3, "a call does not follow");
    start = now(CLOCK_MONOTONIC);
    done = !static_call_update(call, add_one);
    time += now(CLOCK_MONOTONIC) - start;
    require(done && read_call() == 2, "a call does not follow back");
    best = time < best ? time : best;
  }
  return best / 2 / 1000;
}

static void measure_changes(void) {
  printf("{\"ways\":\"%s\",\"key_1\":%.2f", textpoke_ways(), cost_of_keys(&key_1, 1, true, read_1, 1));
  printf(",\"key_100\":%.2f", cost_of_keys(&key_100, 1, true, read_100, 100));
  printf(",\"key_10000\":%.2f", cost_of_keys(&key_10000, 1, true, read_10000, 10000));
  printf(",\"keys_one_by_one\":%.2f", cost_of_keys(keys, 100, false, read_keys, 100));
  printf(",\"keys_as_one\":%.2f", cost_of_keys(keys, 100, true, read_keys, 100));
  printf(",\"call\":%.2f}\n", cost_of_call());
}

static atomic_bool stop;
static void *run_sites(void *data) {
  while (!atomic_load_explicit(&stop, memory_order_relaxed))
    read_1();
  return data;
}

int main(int argc, char **argv) {
  if (argc < 3)
    return 2;
  pthread_t threads[16];
  int rounds = atoi(argv[2]), count = argc > 3 ? atoi(argv[3]) : 0;
  bool changes = !strcmp(argv[1], "changes");
  require(count >= 0 && count <= 16, "at most 16 threads");
  require(!textpoke_init(), "text cannot be written here");
  for (int i = 0; i < count; i++)
    require(!pthread_create(&threads[i], NULL, run_sites, NULL), "no thread");
  for (int i = 0; i < rounds; i++)
    if (changes)
      measure_changes();
    else
      measure_sites();
  atomic_store(&stop, true);
  for (int i = 0; i < count; i++)
    pthread_join(threads[i], NULL);
  return 0;
}
