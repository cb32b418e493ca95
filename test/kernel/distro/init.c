/* What runs as init in a distribution's kernel: loads the modules that /modules names, in that order, stands still to
 * have its memory dumped, switches some static keys, and stands still again. If /trace is there, it traces functions and
 * stands still once more; if /untrace is there too, it takes all of that back. Then it runs /verify, if that is there, as often as it is let go on. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "trace.h"

static void rest(const char *state) {
  char line[8];
  sync();
  printf("at rest: %s\n", state);
  if (read(0, line, sizeof line) < 1)
    perror("console");
}

static void load(const char *path) {
  int fd = open(path, O_RDONLY);
  if (fd < 0)
    perror(path);
  if (syscall(SYS_finit_module, fd, "", 0))
    perror(path);
  else
    printf("loaded %s\n", path);
  close(fd);
}

/* Runs a script of one line: a program and its arguments. */
static void verify(void) {
  static char line[1000];
  char *words[20], *rest;
  int count = 0, status = 0;
  FILE *file = fopen("/verify", "r");
  if (!fgets(line, sizeof line, file))
    perror("/verify");
  fclose(file);
  for (char *word = strtok_r(line, " \n", &rest); word && count < 19; word = strtok_r(NULL, " \n", &rest))
    words[count++] = word;
  words[count] = NULL;
  if (fork() == 0) {
    execv(words[0], words);
    perror(words[0]);
    _exit(99);
  }
  wait(&status);
  printf("verify ended: %d\n", WIFEXITED(status) ? WEXITSTATUS(status) : -1);
}

int main(void) {
  static const char *const places[][2] = {
      {"/proc", "proc"}, {"/sys", "sysfs"}, {"/sys/kernel/tracing", "tracefs"}, {"/sys/kernel/debug", "debugfs"}};
  char line[200];
  FILE *modules;
  setvbuf(stdout, NULL, _IONBF, 0);
  for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
    mkdir(places[i][0], 0755);
    if (mount("none", places[i][0], places[i][1], 0, NULL))
      perror(places[i][1]);
  }
  modules = fopen("/modules", "r");
  while (modules && fgets(line, sizeof line, modules)) {
    line[strcspn(line, "\n")] = 0;
    load(line);
  }
  rest("booted");
  put("/sys/kernel/tracing/events/sched/enable", "1");
  put("/sys/kernel/tracing/events/xfs/enable", "1");
  put("/sys/kernel/tracing/events/kvm/enable", "1");
  put("/sys/kernel/debug/sched/preempt", "full");
  put("/proc/sys/kernel/sched_schedstats", "1");
  rest("switched");
  if (access("/trace", R_OK) == 0) {
    trace();
    rest("traced");
    if (access("/untrace", R_OK) == 0) {
      untrace();
      rest("untraced");
    }
  }
  while (access("/verify", R_OK) == 0) {
    verify();
    rest("verified");
  }
  reboot(RB_POWER_OFF);
  return 0;
}
