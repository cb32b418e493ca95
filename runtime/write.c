/* SPDX-License-Identifier: MIT
 * Where text is written from. It is never writable at its own address. Either way below is taken only after it has
 * changed an instruction of the library's own, which was then run.
 *
 *   mem     /proc/self/mem, which gives a page of its own to what it writes to, as for a debugger. Mappings keep their
 *           files, a child of fork() its text, and debuggers and probes find what they expect.
 *   memfd   a second mapping of the same pages. They are copied into a file in memory, which is mapped over the text.
 *           For processes that may not open /proc/self/mem: it is not mounted, or belongs to root (PR_SET_DUMPABLE).
 */
#include "internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

bool write_emulated;
static bool keep_files; /* to tell an emulator, or while it is not yet known whether this is one */

static enum way { NO_WAY, WAY_MEM, WAY_MEMFD } way;
static pid_t owner;
static char trouble[160];

static bool fail(const char *what) {
  strcpy(trouble, what);
  if (errno) {
    strcat(trouble, ": ");
    strncat(trouble, strerror(errno), 60);
  }
  return false;
}

static uintptr_t page_size(void) { return (uintptr_t)sysconf(_SC_PAGESIZE); }

/* ---- descriptors */

/* The program may have closed it and opened something else by that number. */
static bool is_open(int fd, const struct stat *is) {
  struct stat now;
  return fd >= 0 && !fstat(fd, &now) && now.st_dev == is->st_dev && now.st_ino == is->st_ino;
}

/* A high number: programs close what they do not know, or ask for the lowest. */
static int move_up(int fd) {
  int high = fcntl(fd, F_DUPFD_CLOEXEC, 200);
  if (high < 0)
    return fd;
  close(fd);
  return high;
}

/* ---- mem */

static int mem = -1;
static struct stat mem_is;

/* The descriptor stays open, for a process may change its user or its root. */
static bool open_mem(void) {
  int fd = open("/proc/self/mem", O_RDWR | O_CLOEXEC);
  if (fd < 0)
    return fail("/proc/self/mem cannot be opened (no /proc, or PR_SET_DUMPABLE is 0)");
  mem = move_up(fd);
  return !fstat(mem, &mem_is) || fail("/proc/self/mem has no status");
}

static bool write_mem(uint8_t *place, const uint8_t *bytes, int size) {
  ssize_t wrote;
  do
    wrote = pwrite(mem, bytes, (size_t)size, (off_t)(uintptr_t)place);
  while (wrote < 0 && errno == EINTR);
  return wrote == size && !memcmp(place, bytes, (size_t)size);
}

/* ---- memfd */

/* Pages of text, and where they can be written. */
struct region {
  struct region *next;
  uintptr_t start, end;
  uint8_t *alias;
  int fd; /* kept where an emulator is told by it, else -1 */
  struct stat is;
};
static struct region *regions;

static struct region *region_of(uintptr_t place) {
  struct region *region = regions;
  while (region && !(place >= region->start && place < region->end))
    region = region->next;
  return region;
}

static int memory_file(void) {
  /* MFD_NOEXEC_SEAL: nobody runs it by name, and vm.memfd_noexec allows it. Linux before 6.3 does not know it. */
  int fd = memfd_create("textpoke", MFD_CLOEXEC | 0x8);
  return fd < 0 ? memfd_create("textpoke", MFD_CLOEXEC) : fd;
}

/* Copies what is at a region into a new file, and maps that over it; `alias` is where it can be written. While the lock
 * is held nobody writes there, and a thread that runs into the change waits in the kernel until it is made. */
static bool map_region(struct region *region) {
  size_t size = region->end - region->start, done = 0;
  int fd = memory_file();
  void *alias = MAP_FAILED, *text = MAP_FAILED;
  if (fd < 0)
    return fail("memfd_create is refused");
  while (done < size) {
    ssize_t wrote = pwrite(fd, (const char *)region->start + done, size - done, (off_t)done);
    if (wrote <= 0)
      break;
    done += (size_t)wrote;
  }
  if (done == size)
    alias = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (alias != MAP_FAILED)
    text = mmap((void *)region->start, size, PROT_READ | PROT_EXEC, MAP_SHARED | MAP_FIXED, fd, 0);
  int error = errno;
  if (text == MAP_FAILED || !keep_files) {
    close(fd);
    fd = -1;
  }
  if (text == MAP_FAILED) {
    if (alias != MAP_FAILED)
      munmap(alias, size);
    errno = error;
    return fail("a file in memory cannot be mapped for execution (vm.memfd_noexec, SELinux execmem)");
  }
  if (is_open(region->fd, &region->is))
    close(region->fd);
  region->alias = alias;
  region->fd = fd < 0 ? -1 : move_up(fd);
  return region->fd < 0 || !fstat(region->fd, &region->is) || fail("a file in memory has no status");
}

/* The pages of the range that no region has yet, each stretch of them as one. */
static bool cover_pages(uintptr_t start, uintptr_t end) {
  while (start < end) {
    const struct region *at = regions;
    uintptr_t stop = end;
    for (; at && !(start >= at->start && start < at->end); at = at->next)
      if (at->start > start && at->start < stop)
        stop = at->start;
    if (at) {
      start = at->end;
      continue;
    }
    struct region *region = malloc(sizeof *region);
    if (!region)
      return fail("out of memory");
    *region = (struct region){.next = regions, .start = start, .end = stop, .fd = -1};
    if (!map_region(region)) {
      free(region);
      return false;
    }
    regions = region;
    start = stop;
  }
  return true;
}

/* Words of 4 bytes are one store. */
static bool write_alias(uint8_t *place, const uint8_t *bytes, int size) {
  uintptr_t at = (uintptr_t)place;
  while (size > 0) {
    struct region *region = region_of(at);
    if (!region)
      return false;
    uint8_t *to = region->alias + (at - region->start);
    int step = 1;
    if (size >= 4 && at % 4 == 0) {
      uint32_t word;
      memcpy(&word, bytes, step = 4);
      __atomic_store_n((uint32_t *)(void *)to, word, __ATOMIC_RELEASE);
    } else {
      __atomic_store_n(to, *bytes, __ATOMIC_RELEASE);
    }
    at += (uintptr_t)step;
    bytes += step;
    size -= step;
  }
  return true;
}

/* After a fork both sides have the same pages, and the parent takes copies. `handover` is shared by the two: until it says
 * 1 the child writes nothing. */
static int *handover;
static pid_t parent;

static bool renew_regions(void) {
  for (struct region *region = regions; region; region = region->next) {
    uint8_t *alias = region->alias;
    if (!map_region(region)) {
      textpoke_say("after a fork: %s; text stays as it is", trouble);
      way = NO_WAY;
      return false;
    }
    munmap(alias, region->end - region->start);
  }
  return true;
}

static void forget_handover(void) {
  if (handover)
    munmap(handover, page_size());
  handover = NULL;
}

static void wait_for_parent(void) {
  while (handover && !__atomic_load_n(handover, __ATOMIC_ACQUIRE) && getppid() == parent)
    usleep(1000);
  forget_handover();
}

/* With the lock held, until the two below. */
void write_before_fork(void) {
  if (way != WAY_MEMFD)
    return;
  wait_for_parent();
  void *page = mmap(NULL, page_size(), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  handover = page == MAP_FAILED ? NULL : page;
  parent = getpid();
}

void write_in_parent(void) {
  if (way != WAY_MEMFD)
    return;
  renew_regions();
  if (handover)
    __atomic_store_n(handover, 1, __ATOMIC_RELEASE);
  forget_handover();
}

void write_in_child(void) {
  owner = getpid();
  if (way == WAY_MEMFD && !handover)
    way = NO_WAY; /* nothing would tell when the parent is done */
  if (way == WAY_MEM) {
    if (is_open(mem, &mem_is))
      close(mem);
    mem = -1;
  }
}

/* ---- either of them */

enum textpoke_error write_cover(uintptr_t start, uintptr_t end) {
  uintptr_t page = page_size();
  if (way != WAY_MEMFD || cover_pages(start & -page, (end + page - 1) & -page))
    return TEXTPOKE_OK;
  textpoke_say("%s", trouble);
  return TEXTPOKE_ERROR_WRITE;
}

/* An object leaves, and its mappings with it. A page that it shares with another one stays. */
void write_uncover(uintptr_t start, uintptr_t end) {
  for (struct region **link = &regions; *link;) {
    struct region *region = *link;
    if (region->start < start - start % page_size() || region->end > end + page_size()) {
      link = &region->next;
      continue;
    }
    *link = region->next;
    munmap(region->alias, region->end - region->start);
    if (is_open(region->fd, &region->is))
      close(region->fd);
    free(region);
  }
}

bool write_text(uint8_t *place, const uint8_t *bytes, int size) {
  return way == WAY_MEM ? write_mem(place, bytes, size) : way == WAY_MEMFD && write_alias(place, bytes, size);
}

/* Tells an emulator, whose translations do not follow what is written by another address, that text is new: the same
 * pages of the same file are mapped once more. */
static bool tell_emulator(uintptr_t start, uintptr_t end) {
  uintptr_t page = page_size(), first = start & -page;
  const struct region *region = region_of(first);
  if (!region || region->fd < 0)
    return false;
  return mmap((void *)first, ((end + page - 1) & -page) - first, PROT_READ | PROT_EXEC, MAP_SHARED | MAP_FIXED,
              region->fd, (off_t)(first - region->start)) != MAP_FAILED;
}

/* Pokes are in order. An emulator is told once for each run of pages, for that is what a change costs there. */
void write_flush(const struct poke *pokes, size_t count) {
  uintptr_t page = page_size(), start = 0, end = 0;
  for (size_t i = 0; i < count; i++) {
    uintptr_t place = (uintptr_t)pokes[i].place, stop = place + pokes[i].size;
    __builtin___clear_cache((char *)place, (char *)stop);
    if (write_emulated && end && ((place & -page) > end || region_of(place) != region_of(start))) {
      tell_emulator(start, end);
      end = 0;
    }
    start = end ? start : place;
    end = stop;
  }
  if (write_emulated && end)
    tell_emulator(start, end);
}

bool write_begin(void) {
  if (owner != getpid()) { /* a child that no handler of fork() has seen */
    write_in_child();
    if (way == WAY_MEMFD)
      renew_regions();
  }
  if (way == WAY_MEMFD)
    wait_for_parent();
  for (const struct region *region = regions; write_emulated && region; region = region->next)
    if (!is_open(region->fd, &region->is)) {
      textpoke_say("somebody has closed the descriptor by which an emulator is told of changes");
      return false;
    }
  if (way == WAY_MEM && !is_open(mem, &mem_is) && !open_mem()) {
    textpoke_say("%s", trouble);
    return false;
  }
  return way != NO_WAY;
}

/* ---- the choice */

#ifndef TEXTPOKE_NO_PATCHING

/* Returns 1, or 2 when its byte at `textpoke_probe_byte` has been changed. */
__extension__ extern int textpoke_probe(void) INTERNAL;
__asm__(".pushsection .text.textpoke_probe, \"ax\", %progbits\n\t"
        ".balign 16\n\t"
        ".globl textpoke_probe\n\t"
        ".hidden textpoke_probe\n\t"
        ".type textpoke_probe, %function\n\t"
#if defined(__x86_64__)
        "textpoke_probe: movl $1, %eax\n\tret\n\t"
#elif defined(__aarch64__)
        "textpoke_probe: mov w0, #1\n\tret\n\t"
#elif defined(__thumb__)
        ".thumb\n\t.thumb_func\n\ttextpoke_probe: movs r0, #1\n\tbx lr\n\t"
#else
        ".arm\n\ttextpoke_probe: mov r0, #1\n\tbx lr\n\t"
#endif
        ".size textpoke_probe, . - textpoke_probe\n\t"
        ".popsection");

#if defined(__x86_64__)
enum { PROBE_BYTE = 1, PROBE_STEP = 1 };
#elif defined(__aarch64__)
enum { PROBE_BYTE = 0, PROBE_STEP = 0x20 }; /* the lowest bit of imm16 */
#else
enum { PROBE_BYTE = 0, PROBE_STEP = 1 };
#endif

static bool probe_runs(int value) {
  int (*volatile probe)(void) = textpoke_probe;
  return probe() == value;
}

static bool probe_write(uint8_t *place, const uint8_t *bytes) {
  bool wrote = write_text(place, bytes, 4);
  write_flush(&(struct poke){.place = place, .size = 4}, 1);
  sync_self();
  return wrote;
}

/* Changes an instruction, runs it, and changes it back. */
static bool try_probe(void) {
  uint8_t *place = (uint8_t *)((uintptr_t)textpoke_probe & ~(uintptr_t)1), old[4], bytes[4];
  errno = 0;
  if (write_cover((uintptr_t)place, (uintptr_t)place + 4))
    return false;
  memcpy(old, place, 4);
  memcpy(bytes, old, 4);
  bytes[PROBE_BYTE] = (uint8_t)(bytes[PROBE_BYTE] + PROBE_STEP);
  /* An address may mean something else there (qemu-user of 32 bits): then nothing must be written at all. */
  uint8_t found[4];
  if (way == WAY_MEM && (pread(mem, found, 4, (off_t)(uintptr_t)place) != 4 || memcmp(found, old, 4)))
    return fail("/proc/self/mem does not show this process's memory");
  if (!probe_runs(1))
    return fail("an instruction of the library's own does not do what it should");
  if (!probe_write(place, bytes))
    return fail("text cannot be written through it (proc_mem.force_override)");
  write_emulated = !probe_runs(2) && tell_emulator((uintptr_t)place, (uintptr_t)place + 4);
  bool runs = probe_runs(2), back = probe_write(place, old) && probe_runs(1);
  errno = 0;
  return (runs && back) || fail("changed code is not run: an emulator that is not told of changes");
}

static bool try_way(enum way tried) {
  errno = 0;
  way = tried;
  keep_files = true;
  if ((tried != WAY_MEM || open_mem()) && try_probe()) {
    keep_files = write_emulated;
    return true;
  }
  write_emulated = false;
  way = NO_WAY;
  if (mem >= 0)
    close(mem);
  mem = -1;
  return false;
}

enum textpoke_error write_choose(void) {
  const char *asked = secure_getenv("TEXTPOKE_WAYS");
  char first[sizeof trouble] = "not asked for";
  owner = getpid();
  if (!(asked && strstr(asked, "memfd"))) {
    if (try_way(WAY_MEM))
      return TEXTPOKE_OK;
    strcpy(first, trouble);
  }
  if (try_way(WAY_MEMFD))
    return TEXTPOKE_OK;
  textpoke_say("text cannot be written in this process; it goes on as it was compiled");
  textpoke_say("by /proc/self/mem: %s", first);
  textpoke_say("by a second mapping: %s", trouble);
  return TEXTPOKE_ERROR_WRITE;
}
#endif

unsigned write_way(void) { return way; }
