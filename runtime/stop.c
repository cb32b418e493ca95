/* SPDX-License-Identifier: MIT
 * Stops all threads of the process by a real-time signal, where the system has no membarrier, or where a machine lets
 * no thread run what is being changed. Each of them waits in the signal's handler, and to come back from there is a
 * context synchronising event. While they wait, nothing may be called that takes a lock: a thread may hold it.
 *
 * A thread that blocks the signal is waited for, and after some seconds the change is given up. System calls that
 * sleep are interrupted; most go on by themselves (SA_RESTART), and those of signal(7) that do not return EINTR.
 */
#include "internal.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { PATIENCE = 10 /* seconds */, ROOM = 0xffff /* threads */ };

static int stop_signal;
/* Stops are numbered, so that a thread which leaves one late is not taken for one that has come to the next. */
static uint32_t stop_number;
static uint32_t arrivals; /* number << 16 | threads that have come, while there is a stop; else 0 */
static uint32_t gate;     /* the number's 16 bits while threads have to wait, else 0 */

static void wait_here(int signal, siginfo_t *info, void *context) {
  int error = errno;
  (void)signal, (void)info, (void)context;
  uint32_t seen = __atomic_load_n(&arrivals, __ATOMIC_SEQ_CST);
  while (seen && !__atomic_compare_exchange_n(&arrivals, &seen, seen + 1, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
    continue;
  if (seen) {
    futex_wake(&arrivals, 1);
    while (__atomic_load_n(&gate, __ATOMIC_SEQ_CST) == seen >> 16)
      futex_wait(&gate, seen >> 16, NULL);
  }
  errno = error;
}

/* From the top: programs count from SIGRTMIN. The last ones are an emulator's (qemu-user has two less; valgrind takes
 * one). */
bool stop_choose(void) {
  struct sigaction action = {.sa_sigaction = wait_here, .sa_flags = SA_SIGINFO | SA_RESTART}, now;
  memset(&action.sa_mask, 0xff, sizeof action.sa_mask);
  for (int signal = SIGRTMAX - 4; !stop_signal && signal >= SIGRTMIN; signal--)
    if (!sigaction(signal, NULL, &now) && !(now.sa_flags & SA_SIGINFO) && now.sa_handler == SIG_DFL &&
        !sigaction(signal, &action, NULL))
      __atomic_store_n(&stop_signal, signal, __ATOMIC_RELEASE);
  return stop_signal != 0;
}

void stop_let_in(sigset_t *blocked) {
  int chosen = __atomic_load_n(&stop_signal, __ATOMIC_ACQUIRE);
  for (int signal = SIGRTMIN; signal <= SIGRTMAX; signal++)
    if (!chosen || signal == chosen) /* it may be any of them, while it is not chosen */
      sigdelset(blocked, signal);
}

/* ---- the threads of the process, without a library that takes locks */

/* linux/dirent.h */
struct entry {
  uint64_t inode;
  int64_t offset;
  uint16_t size;
  uint8_t type;
  char name[];
};

/* Calls with each thread; false when the list cannot be read. */
static bool each_thread(bool (*visit)(pid_t thread)) {
  __attribute__((aligned(8))) char buffer[2048];
  int fd = open("/proc/self/task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0)
    return false;
  bool going = true;
  long size;
  while (going && (size = syscall(SYS_getdents64, fd, buffer, sizeof buffer)) > 0)
    for (long at = 0; going && at < size;) {
      const struct entry *entry = (const void *)(buffer + at);
      pid_t thread = 0;
      for (const char *digit = entry->name; *digit >= '0' && *digit <= '9'; digit++)
        thread = thread * 10 + (*digit - '0');
      if (thread)
        going = visit(thread);
      at += entry->size;
    }
  close(fd);
  return going && size == 0;
}

/* The state of a thread, and whether it blocks every signal: 0, or a letter of proc(5), in capitals where it does. */
static bool read_status(pid_t thread, char *state, bool *blocks) {
  char name[40] = "/proc/self/task/", digits[12], text[2048];
  int count = 0;
  size_t length = strlen(name);
  do
    digits[count++] = (char)('0' + thread % 10);
  while ((thread /= 10));
  while (count > 0)
    name[length++] = digits[--count];
  memcpy(name + length, "/status", 8);
  int fd = open(name, O_RDONLY | O_CLOEXEC);
  ssize_t size = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
  if (fd >= 0)
    close(fd);
  if (size <= 0)
    return false;
  text[size] = 0;
  const char *line = strstr(text, "\nState:\t"), *mask = strstr(text, "\nSigBlk:\t");
  *state = line ? line[8] : 'R';
  /* All real-time signals; the two that belong to the C library or not. */
  *blocks = mask && !strncmp(mask + 9, "fffffff", 7) && (mask[16] == 'e' || mask[16] == 'f');
  return true;
}

/* ---- helpers */

static pid_t helpers[8];
static size_t helper_count;

static bool note_helper(pid_t thread) {
  char state;
  bool blocks;
  if (thread != syscall(SYS_gettid) && read_status(thread, &state, &blocks) && blocks &&
      helper_count < sizeof helpers / sizeof *helpers)
    helpers[helper_count++] = thread;
  return true;
}

void stop_note_helpers(void) {
  helper_count = 0;
  each_thread(note_helper);
}

/* A thread of the emulator's, which runs nothing of the program: it was there first, and takes no signal. */
static bool is_helper(pid_t thread, bool blocks) {
  for (size_t i = 0; write_emulated && blocks && i < helper_count; i++)
    if (helpers[i] == thread)
      return true;
  return false;
}

/* ---- stopping */

static pid_t *told; /* threads that got the signal */
static size_t told_count, alive;
static bool found_new;

static bool tell(pid_t thread) {
  char state = 'R';
  bool blocks = false;
  if (thread == syscall(SYS_gettid))
    return true;
  for (size_t i = 0; i < told_count; i++)
    if (told[i] == thread) {
      /* A main thread that has ended stays on the list, and takes no signals. */
      read_status(thread, &state, &blocks);
      alive += state != 'Z' && state != 'X';
      return true;
    }
  read_status(thread, &state, &blocks); /* where it cannot be read, the thread may run all the same */
  if (state == 'Z' || state == 'X' || is_helper(thread, blocks))
    return true;
  if (told_count == ROOM)
    return false;
  found_new = true;
  if (syscall(SYS_tgkill, getpid(), thread, stop_signal) == 0) {
    told[told_count++] = thread;
    alive++;
  }
  return true;
}

static int64_t now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

static uint32_t arrived(void) { return __atomic_load_n(&arrivals, __ATOMIC_SEQ_CST) & 0xffff; }

/* Until so many threads wait, or it is time to look at the list again: one of them may have ended. */
static void wait_for(uint32_t threads) {
  const struct timespec pause = {0, 2000000};
  int64_t end = now() + pause.tv_nsec;
  uint32_t seen;
  while (((seen = __atomic_load_n(&arrivals, __ATOMIC_SEQ_CST)) & 0xffff) < threads && now() < end)
    futex_wait(&arrivals, seen, &pause);
}

/* Looks at the list again until nobody is new on it: a thread that is not stopped yet may have made another one. Time in
 * which the process itself did not run (SIGSTOP, a frozen container) is not held against its threads. */
static bool stop_all(void) {
  const int64_t most = 100000000;
  int64_t left = PATIENCE * (int64_t)1000000000, before = now();
  for (;;) {
    alive = 0;
    found_new = false;
    if (!each_thread(tell))
      return false;
    if (!found_new && arrived() >= alive)
      return true;
    int64_t passed = now() - before;
    left -= passed < most ? passed : most;
    if (left <= 0)
      return false;
    before += passed;
    wait_for((uint32_t)alive);
  }
}

bool stop_threads(void) {
  told = mmap(NULL, ROOM * sizeof *told, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (told == MAP_FAILED)
    return false;
  told_count = 0;
  stop_number = stop_number % 0xffff + 1;
  __atomic_store_n(&gate, stop_number, __ATOMIC_SEQ_CST);
  __atomic_store_n(&arrivals, stop_number << 16, __ATOMIC_SEQ_CST);
  if (stop_all())
    return true;
  resume_threads();
  textpoke_say("a thread did not stop: it blocks signal %d, or cannot be seen in /proc/self/task", stop_signal);
  return false;
}

void resume_threads(void) {
  __atomic_store_n(&arrivals, 0, __ATOMIC_SEQ_CST);
  __atomic_store_n(&gate, 0, __ATOMIC_SEQ_CST);
  futex_wake(&gate, INT32_MAX);
  munmap(told, ROOM * sizeof *told);
}
