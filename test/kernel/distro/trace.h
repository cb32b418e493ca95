/* What init.c does to have a kernel change its text while it runs: function tracing, probes, BPF programs. Whatever a
 * kernel has not is said, and passed over. */
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define TRACING "/sys/kernel/tracing/"

static int try(const char *path, const char *text, int flags) {
  int fd = open(path, O_WRONLY | flags);
  int done = fd >= 0 && write(fd, text, strlen(text)) >= 0;
  int why = errno;
  if (fd >= 0)
    close(fd);
  errno = why;
  return done;
}

static void put(const char *path, const char *text) {
  if (!try(path, text, 0))
    perror(path);
}

static void add(const char *path, const char *text) {
  if (!try(path, text, O_APPEND))
    fprintf(stderr, "%s: %s: %s\n", path, text, strerror(errno));
}

static int bpf(int command, union bpf_attr *attr) {
  return syscall(SYS_bpf, command, attr, sizeof *attr);
}

/* r0 = 0; exit */
static const struct bpf_insn nothing[] = {
    {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = 0},
    {.code = BPF_JMP | BPF_EXIT},
};

static int program(unsigned type, unsigned attach, unsigned target) {
  union bpf_attr attr;
  memset(&attr, 0, sizeof attr);
  attr.prog_type = type;
  attr.insns = (uintptr_t)nothing;
  attr.insn_cnt = sizeof nothing / sizeof *nothing;
  attr.license = (uintptr_t) "GPL";
  attr.expected_attach_type = attach;
  attr.attach_btf_id = target;
  int fd = bpf(BPF_PROG_LOAD, &attr);
  if (fd < 0)
    perror("bpf");
  return fd;
}

/* The number of a function in the kernel's BTF; 0: it is not there. */
static unsigned number_of(const char *function) {
  int fd = open("/sys/kernel/btf/vmlinux", O_RDONLY);
  struct stat stat;
  if (fd < 0 || fstat(fd, &stat)) {
    perror("/sys/kernel/btf/vmlinux");
    return 0;
  }
  char *bytes = malloc(stat.st_size);
  size_t have = 0;
  for (ssize_t got; have < (size_t)stat.st_size && (got = read(fd, bytes + have, stat.st_size - have)) > 0;)
    have += got;
  close(fd);
  uint32_t *head = (uint32_t *)bytes;
  char *types = bytes + head[1] + head[2], *end = types + head[3], *strings = bytes + head[1] + head[4];
  unsigned found = 0;
  for (unsigned id = 1; types < end && !found; id++) {
    uint32_t *type = (uint32_t *)types;
    unsigned kind = type[1] >> 24 & 31, count = type[1] & 0xffff;
    static const unsigned char fixed[32] = {[1] = 4, [3] = 12, [14] = 4, [17] = 4};
    static const unsigned char each[32] = {[4] = 12, [5] = 12, [6] = 8, [13] = 8, [15] = 12, [19] = 12};
    if (kind == 12 && strcmp(strings + type[0], function) == 0)
      found = id;
    types += 12 + fixed[kind] + each[kind] * count;
  }
  free(bytes);
  return found;
}

static void attach(const char *function, unsigned type) {
  union bpf_attr attr;
  memset(&attr, 0, sizeof attr);
  attr.raw_tracepoint.prog_fd = program(BPF_PROG_TYPE_TRACING, type, number_of(function));
  if (bpf(BPF_RAW_TRACEPOINT_OPEN, &attr) < 0)
    perror(function);
  else
    printf("attached to %s\n", function);
}

/* Probes inside of functions: wherever the kernel takes one. */
static void probe(const char *function, int most) {
  char line[200];
  int made = 0;
  for (int at = 5; at < 80 && made < most; at++) {
    snprintf(line, sizeof line, "p:in_%s_%d %s+%d", function, at, function, at);
    if (try(TRACING "kprobe_events", line, O_APPEND))
      made++;
  }
  printf("%d probes in %s\n", made, function);
}

static void trace(void) {
  static const char *const probed[] = {"vfs_read", "vfs_write", "vfs_open", "do_filp_open", "path_openat",
                                       "schedule", "vfs_statx", "ksys_read", "ksys_write", "iput"};
  int pair[2];
  /* Functions through the trampoline of one ops; more of them through another; some through both. */
  mkdir(TRACING "instances/one", 0755);
  put(TRACING "instances/one/set_ftrace_filter", "vfs_*");
  put(TRACING "instances/one/current_tracer", "function");
  mkdir(TRACING "instances/two", 0755);
  put(TRACING "instances/two/set_ftrace_filter", "vfs_r*");
  add(TRACING "instances/two/set_ftrace_filter", "xfs_*");
  put(TRACING "instances/two/current_tracer", "function");
  put(TRACING "set_ftrace_filter", "do_sys_*");
  add(TRACING "set_ftrace_filter", "kvm_*");
  put(TRACING "current_tracer", "function_graph");
  /* At the start of functions, on return, twice at one place, and inside. */
  add(TRACING "kprobe_events", "p:start_one do_filp_open");
  add(TRACING "kprobe_events", "p:start_two vfs_open");
  add(TRACING "kprobe_events", "r:end_one vfs_statx");
  for (size_t i = 0; i < sizeof probed / sizeof *probed; i++)
    probe(probed[i], 1 + i % 4);
  add(TRACING "kprobe_events", "p:again_one do_filp_open");
  put(TRACING "events/kprobes/enable", "1");
  /* A filter of a socket, and programs at the start of functions, one of which is traced as well. */
  if (socketpair(AF_UNIX, SOCK_DGRAM, 0, pair) == 0) {
    int filter = program(BPF_PROG_TYPE_SOCKET_FILTER, 0, 0);
    if (setsockopt(pair[0], SOL_SOCKET, SO_ATTACH_BPF, &filter, sizeof filter))
      perror("SO_ATTACH_BPF");
  }
  attach("ksys_dup3", BPF_TRACE_FENTRY);
  attach("inet_ioctl", BPF_TRACE_FENTRY);
  attach("vfs_fsync_range", BPF_TRACE_FENTRY);
  attach("do_truncate", BPF_TRACE_FEXIT);
  attach("do_writev", BPF_TRACE_FENTRY);
  attach("do_writev", BPF_TRACE_FEXIT);
  /* Probes are optimised some time after they are made. */
  sleep(4);
}

/* Lines of a file, for whoever reads the console. */
static void show(const char *path) {
  char bytes[4096];
  int fd = open(path, O_RDONLY);
  ssize_t got;
  if (fd < 0)
    perror(path);
  while (fd >= 0 && (got = read(fd, bytes, sizeof bytes)) > 0)
    fwrite(bytes, 1, got, stdout);
  close(fd);
}

/* Takes back what trace() did, but for programs of BPF, and switches what was switched before. */
static void untrace(void) {
  printf("probes:\n");
  show("/sys/kernel/debug/kprobes/list");
  put(TRACING "current_tracer", "nop");
  put(TRACING "instances/one/current_tracer", "nop");
  put(TRACING "instances/two/current_tracer", "nop");
  put(TRACING "events/kprobes/enable", "0");
  put(TRACING "events/sched/enable", "0");
  put("/sys/kernel/debug/sched/preempt", "voluntary");
  put("/proc/sys/kernel/sched_schedstats", "0");
  sleep(2);
}
