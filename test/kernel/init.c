/* What runs as init in the kernel under test: flips static keys through tracefs and debugfs, switches preemption
 * (static calls), loads and unloads modules that have sites, and says what the kernel complained about. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/klog.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static void put(const char *path, const char *text) {
  int fd = open(path, O_WRONLY);
  if (fd < 0 || write(fd, text, strlen(text)) < 0)
    perror(path);
  close(fd);
}

static void show(const char *what, const char *path) {
  char line[400];
  FILE *file = fopen(path, "r");
  while (file && fgets(line, sizeof line, file))
    printf("%s%s", what, line);
  if (file)
    fclose(file);
}

static void with_module(const char *path, const char *name, const char *events) {
  int fd = open(path, O_RDONLY);
  printf("load %s: %ld\n", name, syscall(SYS_finit_module, fd, "", 0));
  close(fd);
  if (events) {
    put(events, "1");
    sleep(2);
    put(events, "0");
  }
  printf("unload %s: %ld\n", name, syscall(SYS_delete_module, name, 0));
}

/* Stands still in a known state until a line comes in on the console, where the command line says so: the kernel
 * hands words that it does not know on to init. */
static int rests;
static void rest(const char *state) {
  char line[8];
  if (!rests)
    return;
  sync();
  printf("at rest: %s\n", state);
  if (read(0, line, sizeof line) < 1)
    perror("console");
}

static int complaints(void) {
  static char log[1 << 20];
  static const char *const words[] = {"WARNING", "BUG", "Oops", "jump_label", "static_call"};
  int count = 0, length = klogctl(3, log, sizeof log - 1);
  log[length > 0 ? length : 0] = 0;
  for (char *line = strtok(log, "\n"); line; line = strtok(NULL, "\n"))
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
      if (strstr(line, words[i])) {
        printf("kernel: %s\n", line);
        count++;
        break;
      }
  return count;
}

int main(int count, char **words) {
  static const char *const places[][2] = {
      {"/proc", "proc"}, {"/sys", "sysfs"}, {"/tracing", "tracefs"}, {"/debug", "debugfs"}};
  for (int i = 1; i < count; i++)
    rests |= strcmp(words[i], "rest") == 0;
  setvbuf(stdout, NULL, _IONBF, 0);
  for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
    mkdir(places[i][0], 0755);
    if (mount("none", places[i][0], places[i][1], 0, NULL))
      perror(places[i][1]);
  }
  printf("init runs\ncpus %ld\n", sysconf(_SC_NPROCESSORS_ONLN));
  rest("booted");
  put("/tracing/events/sched/sched_switch/enable", "1");
  usleep(300000);
  put("/tracing/events/sched/sched_switch/enable", "0");
  show("", "/tracing/trace");
  put("/debug/sched/features", "NO_WAKEUP_PREEMPTION");
  put("/debug/sched/features", "WAKEUP_PREEMPTION");
  put("/debug/sched/preempt", "none");
  if (rests) {
    put("/tracing/events/irq/enable", "1");
    rest("switched");
    put("/tracing/events/irq/enable", "0");
  }
  put("/debug/sched/preempt", "full");
  show("preempt: ", "/debug/sched/preempt");
  with_module("/trace-events-sample.ko", "trace_events_sample", "/tracing/events/sample-trace/enable");
  with_module("/dummy.ko", "dummy", NULL);
  printf("warnings %d\ndone\n", complaints());
  reboot(RB_POWER_OFF);
  return 0;
}
