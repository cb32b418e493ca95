// Runs a command and says on descriptor 3 what it took, with all processes that it waited for: microseconds of CPU and
// of the clock, kibibytes of memory at most, exit status. Small, so that its own memory is not what is measured.
#define _GNU_SOURCE
#include <spawn.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

extern char **environ;

static long long now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000ll + t.tv_nsec / 1000;
}

static long long microseconds(struct timeval t) { return t.tv_sec * 1000000ll + t.tv_usec; }

int main(int argc, char **argv) {
  pid_t pid;
  int status;
  struct rusage usage;
  posix_spawn_file_actions_t actions;
  if (argc < 2 || posix_spawn_file_actions_init(&actions) || posix_spawn_file_actions_addclose(&actions, 3)) return 125;
  long long start = now();
  if (posix_spawnp(&pid, argv[1], &actions, NULL, argv + 1, environ)) return 127;
  if (wait4(pid, &status, 0, &usage) != pid) return 125;
  long long wall = now() - start;
  dprintf(3, "%lld %lld %ld %d\n", microseconds(usage.ru_utime) + microseconds(usage.ru_stime), wall, usage.ru_maxrss,
          WIFEXITED(status) ? WEXITSTATUS(status) : -1);
  return 0;
}
