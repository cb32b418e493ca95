/* A plugin of QEMU's (docs/devel/tcg-plugins.rst) that records every store to the text of an x86-64 kernel, whoever makes
 * it: directly, or through the pages that text_poke maps the text at. Each group of adjacent stores between two calls of the
 * functions that write text is a line of JSON. Beside them it keeps what memory holds when the kernel begins and when it
 * gives its init text back.
 *
 * Arguments: out=FILE start=ADDRESS size=BYTES (of all texts and what lies between) all=BYTES (of the image) entry=ADDRESS booted=ADDRESS, and
 * part=ADDRESS for both ends of each text, and call=ADDRESS for each of these functions; addresses are those of the link, hexadecimal. */
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#if __has_include("qemu-plugin.h")
#include "qemu-plugin.h"
#else
/* What of it is used, in the form that it has since version 1. */
typedef uint64_t qemu_plugin_id_t;
typedef uint32_t qemu_plugin_meminfo_t;
typedef struct qemu_info_t qemu_info_t;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
struct qemu_plugin_hwaddr;
#define QEMU_PLUGIN_EXPORT __attribute__((visibility("default")))
#define QEMU_PLUGIN_VERSION 1
enum { QEMU_PLUGIN_CB_NO_REGS };
enum { QEMU_PLUGIN_MEM_W = 2 };
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *, size_t);
uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *);
void *qemu_plugin_insn_haddr(const struct qemu_plugin_insn *);
unsigned qemu_plugin_mem_size_shift(qemu_plugin_meminfo_t);
bool qemu_plugin_mem_is_store(qemu_plugin_meminfo_t);
struct qemu_plugin_hwaddr *qemu_plugin_get_hwaddr(qemu_plugin_meminfo_t, uint64_t);
bool qemu_plugin_hwaddr_is_io(const struct qemu_plugin_hwaddr *);
uint64_t qemu_plugin_hwaddr_phys_addr(const struct qemu_plugin_hwaddr *);
void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t, void (*)(qemu_plugin_id_t, struct qemu_plugin_tb *));
void qemu_plugin_register_atexit_cb(qemu_plugin_id_t, void (*)(qemu_plugin_id_t, void *), void *);
void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn *, void (*)(unsigned, void *), int, void *);
void qemu_plugin_register_vcpu_mem_cb(struct qemu_plugin_insn *,
                                      void (*)(unsigned, qemu_plugin_meminfo_t, uint64_t, void *), int, int, void *);
#endif

QEMU_PLUGIN_EXPORT int qemu_plugin_version = QEMU_PLUGIN_VERSION;

static uint64_t start, size, all, entry, booted, calls[16];
static unsigned call_count, part_count;
/* Ends of the texts, in pairs. */
static uint64_t parts[32];
static char path[4000];
static FILE *out;

/* Where the image lies: how far it was moved, in the guest's physical memory, and in QEMU's. */
static uint64_t slide, physical;
static bool knows_slide, knows_physical;
static uint8_t *memory;
/* The text as recorded writes made it. */
static uint8_t *text;

/* The group of stores that is open: offsets in the text. */
static uint64_t from, to;
static bool is_open, is_poking;
/* The group begins with the first store behind a call, which may leave gaps at first: memcpy of text writes both ends. */
static bool is_first;
/* Bytes of a gap. */
enum { GAP = 16 };

static void flush(void) {
  if (!is_open)
    return;
  is_open = false;
  fprintf(out, "{\"address\":\"0x%" PRIx64 "\",\"before\":\"", start + from);
  for (uint64_t at = from; at < to; at++)
    fprintf(out, "%02x", text[at]);
  fprintf(out, "\",\"after\":\"");
  for (uint64_t at = from; at < to; at++)
    fprintf(out, "%02x", memory[at]);
  fprintf(out, "\"}\n");
  fflush(out);
  memcpy(text + from, memory + from, to - from);
}

static void store(uint64_t at, uint64_t length) {
  uint64_t gap = is_first ? GAP : 0;
  if (is_open && at <= to + gap && at + length + gap >= from) {
    from = at < from ? at : from;
    to = at + length > to ? at + length : to;
    return;
  }
  if (is_open) {
    flush();
    is_first = false;
  }
  is_open = true;
  from = at;
  to = at + length;
}

static void keep(const char *what) {
  char name[4096];
  snprintf(name, sizeof name, "%s.%s", path, what);
  FILE *file = fopen(name, "w");
  if (!file || fwrite(memory, 1, all, file) != all || fclose(file))
    abort();
}

static bool is_text(uint64_t address) {
  for (unsigned i = 0; i < part_count; i += 2)
    if (address >= parts[i] && address < parts[i + 1])
      return true;
  return false;
}

static void on_store(unsigned cpu, qemu_plugin_meminfo_t info, uint64_t address, void *data) {
  if (!knows_slide || !qemu_plugin_mem_is_store(info))
    return;
  uint64_t length = 1u << qemu_plugin_mem_size_shift(info);
  uint64_t at = address - slide - start;
  if (at < size) {
    if (!is_text(start + at))
      return;
    if (!knows_physical) {
      struct qemu_plugin_hwaddr *where = qemu_plugin_get_hwaddr(info, address);
      physical = qemu_plugin_hwaddr_phys_addr(where) - at;
      knows_physical = true;
    }
    store(at, length);
    return;
  }
  /* Text is mapped among the addresses of programs to be written to. */
  if (!is_poking || address >> 63)
    return;
  struct qemu_plugin_hwaddr *where = qemu_plugin_get_hwaddr(info, address);
  if (!where || qemu_plugin_hwaddr_is_io(where))
    return;
  at = qemu_plugin_hwaddr_phys_addr(where) - physical;
  if (at < size && is_text(start + at))
    store(at, length);
}

static void on_call(unsigned cpu, void *data) {
  flush();
  is_first = true;
  is_poking = true;
}

static void on_booted(unsigned cpu, void *data) {
  flush();
  keep("booted");
  /* The first text is kept; what was init text becomes something else. */
  part_count = 2;
  fprintf(out, "{\"event\":\"started\"}\n");
  fflush(out);
}

static void at_end(qemu_plugin_id_t id, void *data) {
  flush();
}

static void begin(struct qemu_plugin_insn *insn, uint64_t address) {
  slide = address - entry;
  memory = (uint8_t *)qemu_plugin_insn_haddr(insn) - (entry - start);
  text = malloc(size);
  if (!text)
    abort();
  memcpy(text, memory, size);
  knows_slide = true;
  fprintf(out, "{\"slide\":\"0x%" PRIx64 "\"}\n", slide);
  keep("first");
}

static void on_translation(qemu_plugin_id_t id, struct qemu_plugin_tb *tb) {
  size_t count = qemu_plugin_tb_n_insns(tb);
  for (size_t i = 0; i < count; i++) {
    struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);
    uint64_t address = qemu_plugin_insn_vaddr(insn);
    /* The upper 2 GiB alone have the kernel, which is moved by multiples of 2 MiB. */
    if (address < 0xffffffff80000000)
      return;
    if (!knows_slide && (address - entry) % (2 << 20) == 0 && address - entry < 1 << 30 && i == 0)
      begin(insn, address);
    if (!knows_slide)
      continue;
    qemu_plugin_register_vcpu_mem_cb(insn, on_store, QEMU_PLUGIN_CB_NO_REGS, QEMU_PLUGIN_MEM_W, NULL);
    if (address - slide == booted)
      qemu_plugin_register_vcpu_insn_exec_cb(insn, on_booted, QEMU_PLUGIN_CB_NO_REGS, NULL);
    for (unsigned call = 0; call < call_count; call++)
      if (address - slide == calls[call])
        qemu_plugin_register_vcpu_insn_exec_cb(insn, on_call, QEMU_PLUGIN_CB_NO_REGS, NULL);
  }
}

QEMU_PLUGIN_EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t *info, int argc, char **argv) {
  for (int i = 0; i < argc; i++) {
    char *value = strchr(argv[i], '=');
    if (!value)
      return -1;
    *value++ = 0;
    uint64_t number = strtoull(value, NULL, 16);
    if (strcmp(argv[i], "out") == 0)
      snprintf(path, sizeof path, "%s", value);
    else if (strcmp(argv[i], "start") == 0)
      start = number;
    else if (strcmp(argv[i], "size") == 0)
      size = number;
    else if (strcmp(argv[i], "all") == 0)
      all = number;
    else if (strcmp(argv[i], "entry") == 0)
      entry = number;
    else if (strcmp(argv[i], "booted") == 0)
      booted = number;
    else if (strcmp(argv[i], "part") == 0 && part_count < sizeof parts / sizeof *parts)
      parts[part_count++] = number;
    else if (strcmp(argv[i], "call") == 0 && call_count < sizeof calls / sizeof *calls)
      calls[call_count++] = number;
    else
      return -1;
  }
  out = fopen(path, "w");
  if (!out || size == 0 || all < size)
    return -1;
  qemu_plugin_register_vcpu_tb_trans_cb(id, on_translation);
  qemu_plugin_register_atexit_cb(id, at_end, NULL);
  return 0;
}
