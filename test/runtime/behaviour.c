/* What libtextpoke does in one situation after another: `behaviour NAME` exits with 0 if it is right, and prints lines
 * that the test compares. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <link.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <textpoke/runtime.h>
#include <unistd.h>

#include "expect.h"

DEFINE_STATIC_KEY_FALSE(off);
DEFINE_STATIC_KEY_TRUE(on);
static int one(int n) { return n + 1; }
static int two(int n) { return n + 2; }
static void mark(int *n) { *n = 1; }
DEFINE_STATIC_CALL(number, one);
DEFINE_STATIC_CALL_NULL(hook, mark);
DEFINE_STATIC_CALL_RET0(zero, one);

NOINLINE static int is_off(void) { return static_branch_unlikely(&off) ? 1 : 0; }
NOINLINE static int is_on(void) { return static_branch_likely(&on) ? 1 : 0; }
NOINLINE static int call(int n) { return static_call(number)(n) * 10; }
NOINLINE static int hooked(void) {
  int n = 0;
  static_call_cond(hook)(&n);
  return n;
}
NOINLINE static int zeroed(void) { return static_call(zero)(7) + 0; }


static void quiet(const char *line) { (void)line; }
static void shown(const char *line) { puts(line); }

static uint8_t *site_of_key(void) {
  extern char start[] __asm__("__start___jump_table") __attribute__((visibility("hidden")));
  extern char stop[] __asm__("__stop___jump_table") __attribute__((visibility("hidden")));
  for (char *entry = start; entry < stop; entry += 8 + sizeof(long)) {
    char *key = entry + 8;
    long distance;
    int32_t code;
    memcpy(&distance, key, sizeof distance);
    memcpy(&code, entry, 4);
    if ((((uintptr_t)key + (uintptr_t)distance) & ~(uintptr_t)3) == (uintptr_t)&off)
      return (uint8_t *)entry + code;
  }
  abort();
}

/* As a debugger does it. */
static void overwrite(uint8_t *place, const void *bytes, size_t size) {
  int fd = open("/proc/self/mem", O_RDWR);
  EXPECT(pwrite(fd, bytes, size, (off_t)(uintptr_t)place) == (ssize_t)size);
  close(fd);
}

/* ---- */

static void counts(void) {
  EXPECT(!textpoke_init());
  EXPECT(!is_off() && is_on());
  EXPECT(static_branch_inc(&off) && static_branch_inc(&off) && static_key_count(&off.key) == 2 && is_off());
  textpoke_set_log(shown);
  EXPECT(!static_branch_enable(&off) && !static_branch_disable(&off));
  EXPECT(static_branch_dec(&off) && is_off() && static_branch_dec(&off) && !is_off());
  EXPECT(!static_branch_dec(&off) && static_key_count(&off.key) == 0);
  EXPECT(static_branch_disable(&on) && static_branch_disable(&on) && !is_on() && !static_key_enabled(&on));
  EXPECT(static_branch_enable(&on) && static_branch_enable(&on) && is_on());
}

static void calls(void) {
  EXPECT(!textpoke_init());
  EXPECT(call(1) == 20 && !hooked() && !zeroed());
  EXPECT(!static_call_update(number, two) && call(1) == 30 && static_call_query(number) == (void *)two);
  EXPECT(!static_call_update(number, (void *)&__static_call_return0) && call(1) == 0);
  EXPECT(!static_call_update(hook, mark) && hooked() == 1);
  EXPECT(!static_call_update(hook, 0) && hooked() == 0 && static_call_query(hook) == NULL);
  EXPECT(!static_call_update(zero, two) && zeroed() == 9);
}

static void before_init(void) {
  EXPECT(!strcmp(textpoke_ways(), "not at all"));
  EXPECT(static_branch_enable(&off) && static_key_enabled(&off) && static_branch_disable(&on));
  EXPECT(!static_call_update(number, two) && !static_call_update(hook, mark));
  EXPECT(!static_call_update(hook, 0) && !hooked());
  EXPECT(!is_off() && is_on());
  EXPECT(!textpoke_init());
  EXPECT(is_off() && !is_on() && call(1) == 30 && !hooked());
}

static void batches(void) {
  EXPECT(!textpoke_init());
  struct textpoke_change good[] = {
      {TEXTPOKE_ENABLE, &off, NULL, NULL},
      {TEXTPOKE_DEC, &on, NULL, NULL},
      {TEXTPOKE_UPDATE, &STATIC_CALL_KEY(number), (void *)&STATIC_CALL_TRAMP(number), (void *)two},
      {TEXTPOKE_INC, &off, NULL, NULL},
  };
  EXPECT(!textpoke_apply(good, 4) && is_off() && !is_on() && call(1) == 30 && static_key_count(&off.key) == 2);
  textpoke_set_log(shown);
  struct textpoke_change below[] = {
      {TEXTPOKE_UPDATE, &STATIC_CALL_KEY(number), (void *)&STATIC_CALL_TRAMP(number), (void *)one},
      {TEXTPOKE_DEC, &off, NULL, NULL},
      {TEXTPOKE_INC, &on, NULL, NULL},
      {TEXTPOKE_DEC, &on, NULL, NULL},
      {TEXTPOKE_DEC, &on, NULL, NULL},
  };
  EXPECT(textpoke_apply(below, 5) == TEXTPOKE_ERROR_COUNT);
  EXPECT(is_off() && !is_on() && call(1) == 30 && static_key_count(&off.key) == 2 && !static_key_count(&on.key));
  EXPECT(static_call_query(number) == (void *)two);
  struct textpoke_change there_and_back[] = {{TEXTPOKE_INC, &on, NULL, NULL}, {TEXTPOKE_DEC, &on, NULL, NULL}};
  EXPECT(!textpoke_apply(there_and_back, 2) && !is_on() && !textpoke_apply(NULL, 0));
}

static void arguments(void) {
  static long no_key[4] = {-1, -1, -1, -1};
  EXPECT(!textpoke_init());
  textpoke_set_log(quiet);
  void *key = &STATIC_CALL_KEY(number), *trampoline = (void *)&STATIC_CALL_TRAMP(number);
  EXPECT(textpoke_update_call(key, trampoline, no_key) == TEXTPOKE_ERROR_FUNCTION);
  EXPECT(textpoke_update_call(key, trampoline, (void *)16) == TEXTPOKE_ERROR_FUNCTION);
  EXPECT(textpoke_update_call(key, (void *)one, (void *)two) == TEXTPOKE_ERROR_KEY);
  EXPECT(textpoke_update_call(key, NULL, (void *)two) == TEXTPOKE_ERROR_KEY);
  EXPECT(textpoke_update_call(NULL, trampoline, (void *)two) == TEXTPOKE_ERROR_KEY);
  struct textpoke_change change = {TEXTPOKE_ENABLE, (void *)one, NULL, NULL};
  EXPECT(textpoke_apply(&change, 1) == TEXTPOKE_ERROR_KEY);
  change.key = no_key;
  EXPECT(textpoke_apply(&change, 1) == TEXTPOKE_ERROR_COUNT);
  change.key = (char *)&off + 1;
  EXPECT(textpoke_apply(&change, 1) == TEXTPOKE_ERROR_KEY);
  change = (struct textpoke_change){(enum textpoke_operation)9, &off, NULL, NULL};
  EXPECT(textpoke_apply(&change, 1) == TEXTPOKE_ERROR_ARGUMENT);
  change = (struct textpoke_change){TEXTPOKE_ENABLE, key, NULL, NULL}; /* the key of a call */
  EXPECT(textpoke_apply(&change, 1));
  EXPECT(textpoke_set_cpus(0) == TEXTPOKE_ERROR_ARGUMENT);
  EXPECT(call(1) == 20 && !is_off() && is_on() && static_call_query(number) == (void *)one && no_key[0] == -1);
}

/* What is patched, and what is not: by both halves of a site, and not by what lies beside it. */
static void reserved(void) {
  for (int started = 0; started < 2; started++) {
    uint8_t *site = site_of_key();
    uintptr_t call_code = (uintptr_t)call & ~(uintptr_t)1, trampoline = (uintptr_t)&STATIC_CALL_TRAMP(number);
    EXPECT(jump_label_text_reserved(site, site) && jump_label_text_reserved(site + 3, site + 9));
    EXPECT(jump_label_text_reserved(site - 4, site) && !jump_label_text_reserved(site - 4, site - 1));
    EXPECT(!static_call_text_reserved(site, site));
    EXPECT(static_call_text_reserved((void *)call_code, (void *)(call_code + 40)));
    EXPECT(static_call_text_reserved((void *)(trampoline & ~(uintptr_t)1), (void *)trampoline) == started);
    EXPECT(!jump_label_text_reserved((void *)one, (void *)one) && !static_call_text_reserved((void *)one, (void *)one));
    EXPECT(!textpoke_init());
  }
}

/* A breakpoint of somebody else survives 10,000 attempts. */
static void foreign(void) {
#if defined(__x86_64__)
  const uint8_t trap[] = {0xcc};
#elif defined(__aarch64__)
  const uint8_t trap[] = {0x00, 0x00, 0x20, 0xd4};
#else
  const uint8_t trap[] = {0xf0, 0x01, 0xf0, 0xe7};
#endif
  uint8_t *site = site_of_key(), kept[sizeof trap];
  textpoke_set_log(quiet);
  memcpy(kept, site, sizeof trap);
  overwrite(site, trap, sizeof trap);
  EXPECT(textpoke_init() == TEXTPOKE_ERROR_FOREIGN && !memcmp(site, trap, sizeof trap));
  EXPECT(!static_branch_enable(&off) && !static_key_enabled(&off));
  overwrite(site, kept, sizeof trap);
  EXPECT(!textpoke_init() && !is_off());
  EXPECT(static_branch_enable(&off) && is_off());
  memcpy(kept, site, sizeof trap);
  overwrite(site, trap, sizeof trap);
  struct textpoke_change both[] = {{TEXTPOKE_DISABLE, &on, NULL, NULL}, {TEXTPOKE_DISABLE, &off, NULL, NULL}};
  for (int i = 0; i < 10000; i++) {
    EXPECT(textpoke_apply(both, 2) == TEXTPOKE_ERROR_FOREIGN);
    EXPECT(!memcmp(site, trap, sizeof trap) && is_on() && static_key_enabled(&off) && static_key_enabled(&on));
  }
  overwrite(site, kept, sizeof trap);
  EXPECT(!textpoke_apply(both, 2) && !is_off() && !is_on());
}

/* Under gdb, which has a breakpoint on is_off() except between the two. */
NOINLINE static void breakpoint_goes(void) { __asm__ volatile("" : : : "memory"); }
NOINLINE static void breakpoint_comes(void) { __asm__ volatile("nop" : : : "memory"); }
static void debugged(void) {
  textpoke_set_log(quiet);
  EXPECT(textpoke_init() == TEXTPOKE_ERROR_FOREIGN);
  breakpoint_goes();
  EXPECT(!textpoke_init() && static_branch_enable(&off) && is_off() && static_branch_disable(&off) && !is_off());
  breakpoint_comes();
  for (int i = 0; i < 100; i++)
    EXPECT(!static_branch_enable(&off) && !static_key_enabled(&off));
  breakpoint_goes();
  EXPECT(static_branch_enable(&off) && is_off());
}

static void no_writing_and_execution(void) {
  if (prctl(65 /* PR_SET_MDWE */, 1, 0, 0, 0)) {
    puts("no MDWE here");
    return;
  }
  calls();
  counts();
}

static void forks(void) {
  int status;
  EXPECT(!textpoke_init() && static_branch_enable(&off));
  for (int i = 0; i < 5; i++) {
    pid_t child = fork();
    if (child == 0) {
      EXPECT(is_off() && static_branch_disable(&off) && !is_off() && static_branch_disable(&on) && !is_on());
      pid_t grandchild = fork();
      if (grandchild == 0) {
        EXPECT(!is_off() && static_branch_enable(&off) && is_off() && !is_on());
        exit(0);
      }
      EXPECT(waitpid(grandchild, &status, 0) == grandchild && status == 0 && !is_off());
      exit(0);
    }
    EXPECT(is_off() && is_on() && static_branch_disable(&on) && !is_on() && static_branch_enable(&on));
    EXPECT(waitpid(child, &status, 0) == child && status == 0);
    EXPECT(is_off() && is_on());
  }
}

/* A thread is inside of the dynamic loader while another one forks: in the child, the loader's lock is held for ever. */
static int armed, wanted, inside;
static int stay(struct dl_phdr_info *info, size_t size, void *data) {
  (void)info, (void)size, (void)data;
  __atomic_store_n(&inside, 1, __ATOMIC_SEQ_CST);
  while (__atomic_load_n(&inside, __ATOMIC_SEQ_CST))
    usleep(100);
  return 1;
}
static void *ask_loader(void *data) {
  while (!__atomic_load_n(&wanted, __ATOMIC_SEQ_CST))
    usleep(100);
  dl_iterate_phdr(stay, data);
  return NULL;
}
static void enter_loader(void) {
  if (armed && !__atomic_exchange_n(&wanted, 1, __ATOMIC_SEQ_CST))
    while (!__atomic_load_n(&inside, __ATOMIC_SEQ_CST))
      usleep(100);
}
static void leave_loader(void) { __atomic_store_n(&inside, 0, __ATOMIC_SEQ_CST); }
/* What is registered first runs last in front of a fork: the library has had its turn then. (musl comes here later, and
 * holds no lock.) */
static int watched;
static void watch_forks(void) { watched = watched || !pthread_atfork(enter_loader, leave_loader, NULL); }
__attribute__((section(".preinit_array"), used)) static void (*const first)(void) = watch_forks;

static void forks_while_loading(void) {
  pthread_t thread;
  int status;
  watch_forks();
  armed = 1;
  EXPECT(watched && !textpoke_init() && !pthread_create(&thread, NULL, ask_loader, NULL));
  pid_t child = fork();
  if (child == 0) {
    textpoke_set_log(quiet);
    EXPECT(static_branch_enable(&off) && is_off());
    enum textpoke_error far = static_call_update(number, abs);
    EXPECT((!far && call(-7) == 70) || (far == TEXTPOKE_ERROR_FUNCTION && call(7) == 80));
    exit(0);
  }
  EXPECT(waitpid(child, &status, 0) == child && status == 0);
  EXPECT(!pthread_join(thread, NULL) && static_branch_enable(&off) && is_off());
}

#ifdef __x86_64__
static volatile sig_atomic_t caught;
static void on_trap(int signal, siginfo_t *info, void *context) {
  (void)signal, (void)context;
  caught += info->si_code > 0 ? 1 : 100;
}
static void set_handler(void) {
  struct sigaction action = {.sa_sigaction = on_trap, .sa_flags = SA_SIGINFO};
  sigaction(SIGTRAP, &action, NULL);
}
static void *toggle(void *data) {
  for (int i = 0; i < 200; i++)
    EXPECT(static_branch_enable(&off) && static_branch_disable(&off));
  *(volatile int *)data = 1;
  return NULL;
}
static void run_while_toggled(void) {
  volatile int done = 0;
  pthread_t thread;
  pthread_create(&thread, NULL, toggle, (void *)(uintptr_t)&done);
  while (!done)
    is_off();
  pthread_join(thread, NULL);
}
/* Traps of the program's own go to its handler, whether it came before the library's or after it. */
static void handlers(void) {
  set_handler();
  EXPECT(!textpoke_init());
  __asm__ volatile("int3");
  raise(SIGTRAP);
  EXPECT(caught == 101);
  run_while_toggled();
  EXPECT(caught == 101);
  set_handler();
  run_while_toggled();
  __asm__ volatile("int3");
  raise(SIGTRAP);
  EXPECT(caught == 202);
}
/* Without a handler a trap ends the program, as ever. */
static void default_action(void) {
  EXPECT(!textpoke_init() && static_branch_enable(&off));
  signal(SIGCHLD, SIG_DFL);
  pid_t child = fork();
  if (child == 0) {
    prctl(PR_SET_DUMPABLE, 0);
    __asm__ volatile("int3");
    exit(0);
  }
  int status;
  waitpid(child, &status, 0);
  EXPECT(WIFSIGNALED(status) && WTERMSIG(status) == SIGTRAP);
}
#else
static void handlers(void) {}
static void default_action(void) {}
#endif

/* The program closes the descriptor, and another file gets its number. */
static void descriptors(void) {
  EXPECT(!textpoke_init());
  textpoke_set_log(quiet);
  for (int fd = 3; fd < 256; fd++)
    close(fd);
  char name[] = "/tmp/textpoke-behaviour-XXXXXX", content[16] = {0};
  int fd = mkstemp(name);
  unlink(name);
  for (int other = fd + 1; other < 256; other++)
    dup2(fd, other);
  bool changed = static_branch_enable(&off);
  EXPECT(changed == is_off() && pread(fd, content, sizeof content, 0) == 0);
}

static const struct {
  const char *name;
  void (*run)(void);
} situations[] = {
    {"counts", counts},       {"calls", calls},         {"before-init", before_init},
    {"batches", batches},     {"arguments", arguments}, {"foreign", foreign},
    {"reserved", reserved},   {"debugged", debugged},   {"mdwe", no_writing_and_execution},                 {"forks", forks},
    {"forks-while-loading", forks_while_loading},
    {"handlers", handlers},   {"default", default_action}, {"descriptors", descriptors},
};

int main(int argc, char **argv) {
  for (size_t i = 0; argc > 1 && i < sizeof situations / sizeof *situations; i++)
    if (!strcmp(situations[i].name, argv[1])) {
      situations[i].run();
      return 0;
    }
  return 2;
}
