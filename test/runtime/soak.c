/* Threads run sites while others change them, and the number of CPUs. A site must never be older than a change that has returned, and nobody
 * may crash.
 *
 *     soak CHANGES READERS SECONDS [PLUGIN]     PLUGIN is a shared object with sites (plugin.c), loaded over and over
 *     SOAK_MDWE=1 soak ...                      no page may become writable and executable (Linux 6.3)
 *
 * Every change has a number, written to `begun` in front of it and to `done` behind it. A reader looks at `done`, runs
 * the sites, and looks at `begun`: if both say the same, no change was under way, and what the sites said must follow
 * from the number. The last line says what was done; the status is 1 if anything was wrong, and 3 if time ran out. */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <textpoke/runtime.h>
#include <time.h>
#include <unistd.h>

/* ---- sites */

/* On x86-64 the next site begins so many bytes in front of the end of a page, and so of a cache line. */
#ifdef __x86_64__
#define AT_PAGE_END(bytes) __asm__ volatile("jmp 1f; .p2align 12; .skip 4096 - " #bytes ", 0xcc; 1:")
#define AT_LINE_END(bytes) __asm__ volatile("jmp 1f; .p2align 6; .skip 64 - " #bytes ", 0xcc; 1:")
#else
#define AT_PAGE_END(bytes) (void)0
#define AT_LINE_END(bytes) (void)0
#endif

enum { BRANCHES = 4 /* sites of a key in its reader */, ALL = (1 << BRANCHES) - 1 };

#define READER(key, page, line)                                                                              \
  __attribute__((noinline, noclone)) static int read_##key(void) {                                           \
    int seen = 0;                                                                                            \
    if (static_branch_unlikely(&key))                                                                        \
      seen |= 1;                                                                                             \
    AT_PAGE_END(page);                                                                                       \
    if (static_branch_likely(&key))                                                                          \
      seen |= 2;                                                                                             \
    AT_LINE_END(line);                                                                                       \
    if (static_branch_unlikely(&key))                                                                        \
      seen |= 4;                                                                                             \
    if (static_branch_likely(&key))                                                                          \
      seen |= 8;                                                                                             \
    return seen;                                                                                             \
  }

/* Sixteen keys, each with where its second and third site begin: 1 to 4 bytes in front of an end, in all pairs. */
#define SIXTEEN(X, of)                                                                                       \
  X(of##0, FALSE, 1, 1) X(of##1, TRUE, 1, 2) X(of##2, FALSE, 1, 3) X(of##3, TRUE, 1, 4)                      \
  X(of##4, FALSE, 2, 1) X(of##5, TRUE, 2, 2) X(of##6, FALSE, 2, 3) X(of##7, TRUE, 2, 4)                      \
  X(of##8, FALSE, 3, 1) X(of##9, TRUE, 3, 2) X(of##a, FALSE, 3, 3) X(of##b, TRUE, 3, 4)                      \
  X(of##c, FALSE, 4, 1) X(of##d, TRUE, 4, 2) X(of##e, FALSE, 4, 3) X(of##f, TRUE, 4, 4)

/* A change waits for all threads, which takes longest in an emulator: more keys share that wait there. */
#ifdef __x86_64__
#define EACH_KEY(X) SIXTEEN(X, 0)
#else
#define EACH_KEY(X) SIXTEEN(X, 0) SIXTEEN(X, 1) SIXTEEN(X, 2) SIXTEEN(X, 3)
#endif

#define DEFINE(n, initial, page, line)                                                                       \
  DEFINE_STATIC_KEY_##initial(key##n);                                                                       \
  READER(key##n, page, line)
EACH_KEY(DEFINE)
DEFINE_STATIC_KEY_FALSE(shared_key);
READER(shared_key, 2, 2)

static int one(int n) { return n + 1; }
static int two(int n) { return n + 2; }
static int three(int n) { return n + 3; }
static void mark(int *n) { *n = 1; }
static void mark_more(int *n) { *n = 2; }
DEFINE_STATIC_CALL(call0, one);
DEFINE_STATIC_CALL_NULL(hook0, mark);

__attribute__((noinline, noclone)) static int tail(int n) { return static_call(call0)(n); }
__attribute__((noinline, noclone)) static void tail_hook(int *n) { static_call_cond(hook0)(n); }
__attribute__((noinline, noclone)) static int plain(int n) {
  AT_PAGE_END(2);
  int first = static_call(call0)(n);
  AT_LINE_END(4);
  return first * 16 + static_call(call0)(n) + 0 * n;
}
__attribute__((noinline, noclone)) static int plain_hook(void) {
  int n = 0;
  AT_LINE_END(1);
  static_call_cond(hook0)(&n);
  return n;
}

/* ---- what a number says */

struct subject {
  _Alignas(64) atomic_uint begun, done;
};
#define COUNT(n, initial, page, line) +1
enum { KEYS = 0 EACH_KEY(COUNT), CALL = KEYS, HOOK, SUBJECTS };
static struct subject subjects[SUBJECTS];

#define READ(n, initial, page, line) read_key##n,
#define KEY(n, initial, page, line) &key##n.key,
static int (*const readers[KEYS])(void) = {EACH_KEY(READ)};
static struct static_key *const keys[KEYS] = {EACH_KEY(KEY)};

/* Every other key is on at first. */
static int state_of(int key, unsigned number) { return (key ^ (int)number) & 1; }

/* Functions of the call: one, two, three, and none at all, which returns 0. */
static void *call_of(unsigned number) {
  void *const functions[] = {(void *)one, (void *)two, (void *)&__static_call_return0, (void *)three};
  return functions[number % 4];
}
static int result_of(unsigned number, int n) {
  const int add[] = {1, 2, 0, 3};
  return number % 4 == 2 ? 0 : n + add[number % 4];
}
static void *hook_of(unsigned number) {
  void *const functions[] = {NULL, (void *)mark, (void *)mark_more};
  return functions[number % 3];
}
DEFINE_STATIC_CALL_RET0(unused, one); /* brings __static_call_return0 along */

static atomic_ulong checks, wrong, changes, held, loads, threads, forks, unplugged;
static atomic_long counted;
static atomic_int stop;

static void say_wrong(const char *what, unsigned number, int found) {
  char line[120];
  int size = snprintf(line, sizeof line, "wrong: %s at number %u: %x\n", what, number, found);
  atomic_fetch_add(&wrong, 1);
  if (write(2, line, (size_t)size) < 0)
    abort();
}

static void check(int i, int n) {
  struct subject *subject = &subjects[i];
  unsigned number = atomic_load(&subject->done);
  int found, expected;
  if (i < KEYS) {
    found = readers[i]();
    expected = state_of(i, number) ? ALL : 0;
  } else if (i == CALL) {
    found = tail(n) << 16 ^ plain(n);
    int result = result_of(number, n);
    expected = result << 16 ^ (result * 16 + result);
  } else {
    int mark_of_tail = 0;
    tail_hook(&mark_of_tail);
    found = plain_hook() << 4 | mark_of_tail;
    expected = (int)(number % 3) << 4 | (int)(number % 3);
  }
  if (atomic_load(&subject->begun) != number)
    return;
  atomic_fetch_add(&checks, 1);
  if (found != expected)
    say_wrong(i < KEYS ? "a key" : i == CALL ? "a call" : "a hook", number, found);
}

static void check_all(unsigned turn) {
  check((int)(turn % SUBJECTS), (int)(turn & 255));
}

static unsigned next_random(unsigned *state) {
  *state = *state * 1664525 + 1013904223;
  return *state >> 16;
}

/* ---- threads */

/* Those who run all the time leave the processors to the writers, where there are few of them. Where a change waits until
 * all of them have run, they sleep now and then instead, or a change would take as long as all their turns. */
static bool sleeps;

static void be_nice(void) {
  if (!sleeps && setpriority(PRIO_PROCESS, 0 /* this thread */, 19))
    abort();
}

static void rest(void) {
  if (sleeps)
    usleep(200);
}

static void *reader(void *data) {
  be_nice();
  unsigned turn = (unsigned)(uintptr_t)data;
  while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
    for (int i = 0; i < 64; i++) {
      check_all(turn++);
      atomic_fetch_add(&counted, 1);
    }
    atomic_fetch_sub(&counted, 64);
    rest();
  }
  return NULL;
}

static void on_alarm(int signal) {
  static atomic_uint turn;
  (void)signal;
  check_all(atomic_fetch_add(&turn, 1));
}

static void fail(enum textpoke_error error, const char *what) {
  if (!error)
    return;
  fprintf(stderr, "%s: %s\n", what, textpoke_strerror(error));
  abort();
}

static unsigned long wanted;
static bool is_enough(unsigned long more) { return atomic_fetch_add(&changes, more) + more >= wanted; }

static struct textpoke_change change_of(int i, unsigned number, bool counts) {
  struct textpoke_change change = {TEXTPOKE_UPDATE, &STATIC_CALL_KEY(call0), (void *)&STATIC_CALL_TRAMP(call0),
                                   call_of(number)};
  if (i < KEYS) {
    bool on = state_of(i, number);
    change = (struct textpoke_change){on ? TEXTPOKE_ENABLE : TEXTPOKE_DISABLE, keys[i], NULL, NULL};
    if (counts)
      change.operation = on ? TEXTPOKE_INC : TEXTPOKE_DEC;
  } else if (i == HOOK) {
    change.key = &STATIC_CALL_KEY(hook0);
    change.trampoline = (void *)&STATIC_CALL_TRAMP(hook0);
    change.function = hook_of(number);
  }
  return change;
}

/* One of two writers, which share the subjects; one at a time, or all of its own as one. */
static void *writer(void *data) {
  int own = (int)(uintptr_t)data;
  unsigned random = (unsigned)own;
  bool enough = false;
  while (!enough && !atomic_load(&stop)) {
    struct textpoke_change list[SUBJECTS];
    int count = 0, taken[SUBJECTS];
    bool all = next_random(&random) % 2, counts = next_random(&random) % 2;
    int chosen = own + 2 * (int)(next_random(&random) % (SUBJECTS / 2));
    for (int i = own; i < SUBJECTS; i += 2)
      if (all || i == chosen) {
        unsigned number = atomic_load(&subjects[i].begun) + 1;
        atomic_store(&subjects[i].begun, number);
        list[count] = change_of(i, number, counts);
        taken[count++] = i;
      }
    fail(textpoke_apply(list, (size_t)count), "apply");
    for (int i = 0; i < count; i++)
      atomic_store(&subjects[taken[i]].done, atomic_load(&subjects[taken[i]].begun));
    enough = is_enough((unsigned long)count);
    if (next_random(&random) % 32 == 0)
      sched_yield();
  }
  atomic_store(&stop, 1);
  return NULL;
}

/* Holds a count for a while: as long as it does, the key is on. */
static void *holder(void *data) {
  (void)data;
  be_nice();
  while (!atomic_load(&stop)) {
    if (!static_branch_inc(&shared_key))
      abort();
    for (int i = 0; i < 20; i++) {
      int found = read_shared_key();
      if (found != ALL)
        say_wrong("a key that is held", (unsigned)i, found);
      atomic_fetch_add(&checks, 1);
    }
    if (!static_branch_dec(&shared_key))
      abort();
    atomic_fetch_add(&held, 1);
    rest();
  }
  return NULL;
}

static void *short_lived(void *data) {
  for (unsigned i = 0; i < 100; i++)
    check_all(i + (unsigned)(uintptr_t)data);
  return NULL;
}

static void *maker(void *data) {
  (void)data;
  while (!atomic_load(&stop)) {
    pthread_t thread;
    if (pthread_create(&thread, NULL, short_lived, (void *)(uintptr_t)atomic_fetch_add(&threads, 1)))
      abort();
    pthread_join(thread, NULL);
    usleep(300);
  }
  return NULL;
}

/* The other side of a fork has keys and text of its own: what it changes is not seen here, and the other way round. */
static void *forker(void *data) {
  (void)data;
  while (!atomic_load(&stop)) {
    pid_t child = fork();
    if (child == 0) {
      bool good = static_branch_inc(&shared_key) && read_shared_key() == ALL;
      _exit(good ? 0 : 1);
    }
    int status = 0;
    if (child < 0 || waitpid(child, &status, 0) != child || status != 0)
      say_wrong("a child", (unsigned)status, 0);
    atomic_fetch_add(&forks, 1);
    usleep(2000);
  }
  return NULL;
}

/* Every thread on these CPUs: again and again, until no thread is new. True if that was so before long. */
static bool all_on(const cpu_set_t *cpus) {
  static pid_t known[4096];
  size_t count = 0;
  for (bool found_new = true; found_new;) {
    DIR *list = opendir("/proc/self/task");
    found_new = false;
    for (struct dirent *entry; list && (entry = readdir(list));) {
      pid_t thread = atoi(entry->d_name);
      size_t i = 0;
      while (i < count && known[i] != thread)
        i++;
      if (!thread || i < count)
        continue;
      if (count == sizeof known / sizeof *known)
        return closedir(list), false;
      known[count++] = thread;
      found_new = !sched_setaffinity(thread, sizeof *cpus, cpus) || found_new;
    }
    if (!list)
      return false;
    closedir(list);
  }
  return true;
}

/* One CPU or many, as where CPUs are unplugged: locks are taken out while all threads run on one of them. */
static void *hotplug(void *data) {
  cpu_set_t all, one;
  (void)data;
  sched_getaffinity(0, sizeof all, &all);
  while (!atomic_load(&stop)) {
    CPU_ZERO(&one);
    for (int cpu = 0; !CPU_COUNT(&one) && cpu < CPU_SETSIZE; cpu++)
      if (CPU_ISSET(cpu, &all))
        CPU_SET(cpu, &one);
    if (all_on(&one)) {
      fail(textpoke_set_cpus(1), "one CPU");
      usleep(2000);
      fail(textpoke_set_cpus(2), "two CPUs");
      atomic_fetch_add(&unplugged, 1);
    }
    if (!all_on(&all))
      abort();
    usleep(20000);
  }
  return NULL;
}

#ifndef NO_DLOPEN
static void *loader(void *data) {
  while (!atomic_load(&stop)) {
    void *plugin = dlopen(data, RTLD_NOW);
    int (*run)(void) = plugin ? (int (*)(void))(uintptr_t)dlsym(plugin, "plugin_run") : NULL;
    if (!run)
      fprintf(stderr, "%s\n", dlerror()), abort();
    int failed = run();
    if (failed)
      say_wrong("the plugin", (unsigned)failed, 0);
    dlclose(plugin);
    atomic_fetch_add(&loads, 1);
    usleep(200);
  }
  return NULL;
}
#endif

static void *timer(void *data) {
  for (time_t end = time(NULL) + atol(data); time(NULL) <= end && !atomic_load(&stop);)
    usleep(100000);
  if (!atomic_exchange(&stop, 1))
    fputs("soak: time ran out\n", stderr);
  return NULL;
}

/* ---- */

extern int32_t __start___jump_table[] __attribute__((visibility("hidden"))),
    __stop___jump_table[] __attribute__((visibility("hidden")));

/* Sites that cross a boundary of so many bytes. */
static int crossing(uintptr_t size) {
  int count = 0;
  for (char *entry = (char *)__start___jump_table; entry < (char *)__stop___jump_table; entry += 8 + sizeof(long)) {
    uintptr_t site = (uintptr_t)(entry + *(int32_t *)(void *)entry);
    count += site / size != (site + 4) / size;
  }
  return count;
}

int main(int argc, char **argv) {
  pthread_t all[64];
  int started = 0, many = argc > 3 ? atoi(argv[2]) : 0;
  struct sigaction action = {.sa_handler = on_alarm, .sa_flags = SA_RESTART};
  struct itimerval often = {{0, 1000}, {0, 1000}};
  if (argc < 4 || many > 40)
    return 2;
  wanted = strtoul(argv[1], NULL, 10);
  if (getenv("SOAK_MDWE") && prctl(65 /* PR_SET_MDWE */, 1, 0, 0, 0)) {
    perror("PR_SET_MDWE");
    return 2;
  }
  fail(textpoke_init(), "init");
  sleeps = !strstr(textpoke_ways(), "membarrier");
#ifdef __SANITIZE_THREAD__ /* its handlers block all signals, SIGTRAP too */
  often.it_value.tv_usec = 0;
#endif
  sigaction(SIGALRM, &action, NULL);
  for (int i = 0; i < many; i++)
    pthread_create(&all[started++], NULL, reader, (void *)(uintptr_t)i);
  pthread_create(&all[started++], NULL, holder, NULL);
  pthread_create(&all[started++], NULL, holder, NULL);
  pthread_create(&all[started++], NULL, maker, NULL);
  pthread_create(&all[started++], NULL, forker, NULL);
  pthread_create(&all[started++], NULL, hotplug, NULL);
#ifndef NO_DLOPEN
  if (argc > 4)
    pthread_create(&all[started++], NULL, loader, argv[4]);
#endif
  pthread_create(&all[started++], NULL, timer, argv[3]);
  setitimer(ITIMER_REAL, &often, NULL);
  pthread_create(&all[started++], NULL, writer, (void *)0);
  pthread_create(&all[started++], NULL, writer, (void *)1);
  for (int i = 0; i < started; i++)
    pthread_join(all[i], NULL);
  setitimer(ITIMER_REAL, &(const struct itimerval){0}, NULL);
  if (atomic_load(&counted) || static_key_count(&shared_key.key))
    say_wrong("a sum at the end", 0, (int)atomic_load(&counted));
  printf("{\"ways\":\"%s\",\"changes\":%lu,\"checks\":%lu,\"wrong\":%lu,\"held\":%lu,\"loads\":%lu,\"threads\":%lu,\"forks\":%lu,\"unplugged\":%lu,"
         "\"linesCrossed\":%d,\"pagesCrossed\":%d}\n",
         textpoke_ways(), atomic_load(&changes), atomic_load(&checks), atomic_load(&wrong), atomic_load(&held), atomic_load(&loads),
         atomic_load(&threads), atomic_load(&forks), atomic_load(&unplugged), crossing(64), crossing(4096));
  return atomic_load(&wrong) ? 1 : atomic_load(&changes) < wanted ? 3 : 0;
}
