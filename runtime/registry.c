/* SPDX-License-Identifier: MIT
 * Objects with tables: they come when they are loaded and leave before they are unmapped.
 */
#include "internal.h"

#include <elf.h>
#include <stdlib.h>
#include <string.h>

struct textpoke_object *textpoke_objects;
bool textpoke_started;
bool textpoke_entered;
int textpoke_failed;

/* ---- sites */

#define TO(field) ((uintptr_t)&(field) + (uintptr_t)(intptr_t)(field))

static int by_number(uintptr_t a, uintptr_t b) { return a < b ? -1 : a > b; }

static int by_key_then_place(const void *x, const void *y) {
  const struct textpoke_site *a = x, *b = y;
  int order = by_number((uintptr_t)a->key, (uintptr_t)b->key);
  return order ? order : by_number((uintptr_t)a->place, (uintptr_t)b->place);
}

struct textpoke_site *textpoke_sites_of(const struct textpoke_object *object, const void *key,
                                        struct textpoke_site **end) {
  size_t low = 0, high = object->site_count;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    if ((uintptr_t)object->sites[middle].key < (uintptr_t)key)
      low = middle + 1;
    else
      high = middle;
  }
  for (high = low; high < object->site_count && object->sites[high].key == key; high++)
    continue;
  *end = object->sites + high;
  return object->sites + low;
}

static int complain(const struct textpoke_site *site, const char *what, int error) {
  const uint8_t *now = site->now;
  textpoke_say("%p: %s; found %02x %02x %02x %02x %02x %02x", (void *)site->place, what, now[0], now[1], now[2], now[3],
               now[4], now[5]);
  return error;
}

/* Bytes that debuggers and probes write, and that no site ever begins with. */
static bool is_breakpoint(const uint8_t *bytes) {
#if defined(__x86_64__)
  return bytes[0] == 0xcc;
#elif defined(__aarch64__)
  return bytes[3] == 0xd4 && bytes[2] < 0x40; /* brk */
#else
  return (bytes[3] == 0xe7 && bytes[2] == 0xf0) || bytes[1] == 0xde || bytes[1] == 0xbe; /* udf, bkpt */
#endif
}

/* Reads what stands there, if an entry may name this place at all. */
int textpoke_read_site(const struct textpoke_object *object, struct textpoke_site *site) {
  size_t room = textpoke_room_at(object, (uintptr_t)site->place, PF_X);
  size_t size = sizeof(long) == 8 || site->kind != SITE_TRAMPOLINE ? 4 : machine_trampoline_size();
  site->thumb = (uint8_t)object->thumb;
#ifndef __x86_64__
  if ((uintptr_t)site->place % (object->thumb ? 2 : 4))
    room = 0;
#endif
  if (room < size)
    return complain(site, "a table names this place, which is not in the code of its object", TEXTPOKE_ERROR_TABLE);
  memcpy(site->now, site->place, room < SITE_SIZE ? room : SITE_SIZE);
  if (machine_read(site) && site->size <= room)
    return TEXTPOKE_OK;
  if (is_breakpoint(site->now))
    return complain(site, "a breakpoint stands at a site", TEXTPOKE_ERROR_FOREIGN);
  return complain(site, site->kind == SITE_BRANCH ? "a static branch is no NOP and no jump to its target"
                        : site->kind == SITE_TRAMPOLINE ? "this is no trampoline" : "a static call is no call",
                  TEXTPOKE_ERROR_SITE);
}

static int read_branches(struct textpoke_object *object) {
  for (struct jump_entry *entry = object->jumps; entry < object->jumps_end; entry++) {
    uintptr_t key = TO(entry->key);
    struct textpoke_site *site = &object->sites[object->site_count++];
    *site = (struct textpoke_site){.place = (uint8_t *)TO(entry->code), .key = (void *)(key & ~(uintptr_t)3)};
    site->target = TO(entry->target);
    site->likely = key & 1;
    int error = textpoke_read_site(object, site);
    if (error)
      return error;
    if (!textpoke_room_at(object, site->target, PF_X))
      return complain(site, "the target of a static branch is not in the code of its object", TEXTPOKE_ERROR_TABLE);
    if (textpoke_room_at(object, (uintptr_t)site->key, PF_W) < sizeof(struct static_key))
      return complain(site, "the key of a static branch is not in the data of its object", TEXTPOKE_ERROR_TABLE);
  }
  return TEXTPOKE_OK;
}

/* Each call, and the trampoline that it leads to. */
static int read_calls(struct textpoke_object *object) {
  for (struct static_call_site *entry = object->calls; entry < object->calls_end; entry++) {
    uintptr_t key = TO(entry->key);
    struct textpoke_site *site = &object->sites[object->site_count++];
    *site = (struct textpoke_site){.place = (uint8_t *)TO(entry->addr), .key = (void *)(key & ~(uintptr_t)3)};
    site->kind = key & 1 ? SITE_TAIL_CALL : SITE_CALL;
    int error = textpoke_read_site(object, site);
    if (error)
      return error;
    if (textpoke_room_at(object, (uintptr_t)site->key, PF_W) < sizeof(struct static_call_key))
      return complain(site, "the key of a static call is not in the data of its object", TEXTPOKE_ERROR_TABLE);
    if (textpoke_room_at(object, site->target, PF_X) < machine_trampoline_size())
      continue;
    uint8_t *trampoline = machine_trampoline_behind(site->target);
    if (textpoke_room_at(object, (uintptr_t)trampoline, PF_X) < machine_trampoline_size() ||
        !machine_is_trampoline(trampoline, object->thumb))
      continue;
    site->routed = 1;
    object->sites[object->site_count] =
        (struct textpoke_site){.place = trampoline, .key = site->key, .kind = SITE_TRAMPOLINE};
    error = textpoke_read_site(object, &object->sites[object->site_count++]);
    if (error)
      return error;
  }
  return TEXTPOKE_OK;
}

/* One trampoline a key. Identical entries of sites stay, as --icf=all of linkers leaves them. */
static void sort_sites(struct textpoke_object *object) {
  size_t kept = 0;
  qsort(object->sites, object->site_count, sizeof *object->sites, by_key_then_place);
  for (size_t i = 0; i < object->site_count; i++) {
    const struct textpoke_site *site = &object->sites[i], *before = &object->sites[kept ? kept - 1 : 0];
    if (kept && site->kind == SITE_TRAMPOLINE && site->place == before->place && site->key == before->key)
      continue;
    object->sites[kept++] = *site;
  }
  object->site_count = kept;
}

/* Where the sites lie. Locks have no site of their own. */
static int cover(struct textpoke_object *object) {
  uintptr_t start = UINTPTR_MAX, end = 0;
  for (size_t i = 0; i < object->site_count; i++) {
    uintptr_t place = (uintptr_t)object->sites[i].place;
    start = place < start ? place : start;
    end = place + SITE_SIZE > end ? place + SITE_SIZE : end;
  }
  for (int32_t *lock = object->locks; lock < object->locks_end; lock++) {
    uintptr_t place = TO(*lock);
    if (textpoke_room_at(object, place, PF_X) < 4) {
      textpoke_say("%p: a table names this place, which is not in the code of its object", (void *)place);
      return TEXTPOKE_ERROR_TABLE;
    }
    start = place < start ? place : start;
    end = place + SITE_SIZE > end ? place + SITE_SIZE : end;
  }
  if (end == 0)
    return TEXTPOKE_OK;
  int error = write_cover(start, end);
  if (!error) {
    object->covered_start = start;
    object->covered_end = end;
  }
  return error;
}

static bool overlaps(uintptr_t place, size_t size, const void *start, const void *end) {
  return place <= (uintptr_t)end && place + size > (uintptr_t)start;
}

/* As wide as a site may be, where an object's sites have not been read yet (JUMP_LABEL_NOP_SIZE, CALL_INSN_SIZE). */
#ifdef __x86_64__
enum { WIDTH = 5 };
#else
enum { WIDTH = 4 };
#endif

static int is_reserved(bool branches, const void *start, const void *end) {
  sigset_t mask;
  int found = 0;
  textpoke_lock(&mask);
  for (struct textpoke_object *object = textpoke_objects; object; object = object->next) {
    for (size_t i = 0; i < object->site_count; i++)
      if ((object->sites[i].kind == SITE_BRANCH) == branches)
        found |= overlaps((uintptr_t)object->sites[i].place, object->sites[i].size, start, end);
    if (object->site_count)
      continue;
    for (struct jump_entry *entry = object->jumps; branches && entry < object->jumps_end; entry++)
      found |= overlaps(TO(entry->code), WIDTH, start, end);
    for (struct static_call_site *entry = object->calls; !branches && entry < object->calls_end; entry++)
      found |= overlaps(TO(entry->addr), WIDTH, start, end);
  }
  textpoke_unlock(&mask);
  return found;
}

int jump_label_text_reserved(void *start, void *end) { return is_reserved(true, start, end); }
int static_call_text_reserved(void *start, void *end) { return is_reserved(false, start, end); }

/* ---- init */

static int check_key(const struct textpoke_site *site) {
  if (site->kind == SITE_BRANCH) {
    int count = __atomic_load_n(&((struct static_key *)site->key)->enabled, __ATOMIC_RELAXED);
    if (count >= 0)
      return TEXTPOKE_OK;
    textpoke_say("key %p: its count is %d", site->key, count);
    return TEXTPOKE_ERROR_KEY;
  }
  /* One that was set before constructors ran has not been looked at (change.c). */
  uintptr_t function = textpoke_function_of(site->key);
  if (!function || textpoke_is_code(function))
    return TEXTPOKE_OK;
  textpoke_say("key %p: the function of the call, %p, is not in code", site->key, (void *)function);
  return TEXTPOKE_ERROR_FUNCTION;
}

/* Each key once: the sites are sorted by them. */
static int check_keys(const struct textpoke_object *object) {
  const struct textpoke_site *before = NULL, *end = object->sites + object->site_count;
  int error = TEXTPOKE_OK;
  for (const struct textpoke_site *site = object->sites; !error && site < end; before = site++) {
    if (!before || before->key != site->key)
      error = check_key(site);
    else if ((before->kind == SITE_BRANCH) != (site->kind == SITE_BRANCH))
      error = complain(site, "one key is named by a static branch and by a static call", TEXTPOKE_ERROR_TABLE);
  }
  return error;
}

static int init_sites(struct textpoke_object *object) {
  struct batch batch = {0};
  for (size_t i = 0; i < object->site_count; i++)
    if (!textpoke_follow(&batch, object, &object->sites[i])) {
      free(batch.pokes);
      return TEXTPOKE_ERROR_MEMORY;
    }
  return batch_run(&batch);
}

static bool is_init(const struct textpoke_object *object, const uint8_t *place) {
  return object->init_start && (const char *)place >= object->init_start && (const char *)place < object->init_end;
}

static void set(int32_t *field, uintptr_t to) { *field = (int32_t)(to - (uintptr_t)field); }

/* The tables in the order in which the kernel leaves them (jump_label_sort_entries, static_call_sort_entries). */
static void write_tables(struct textpoke_object *object) {
  struct jump_entry *jump = object->jumps;
  struct static_call_site *call = object->calls;
  const struct textpoke_site *end = object->sites + object->site_count;
  if (!textpoke_room_at(object, (uintptr_t)(jump < object->jumps_end ? (void *)jump : (void *)call), PF_W))
    return;
  for (const struct textpoke_site *site = object->sites; site < end; site++) {
    uintptr_t key = (uintptr_t)site->key + (is_init(object, site->place) ? 2 : 0);
    if (site->kind == SITE_BRANCH) {
      set(&jump->code, (uintptr_t)site->place);
      set(&jump->target, site->target);
      jump->key = (long)(key + site->likely - (uintptr_t)&jump->key);
      jump++;
    } else if (site->kind != SITE_TRAMPOLINE) {
      set(&call->addr, (uintptr_t)site->place);
      set(&call->key, key + (site->kind == SITE_TAIL_CALL));
      call++;
    }
  }
}

/* Bounds between which no number of entries fits. */
static bool is_whole(const void *start, const void *end, size_t size) {
  return start <= end && (size_t)((const char *)end - (const char *)start) % size == 0;
}

static int init_object(struct textpoke_object *object) {
  if (!is_whole(object->jumps, object->jumps_end, sizeof *object->jumps) ||
      !is_whole(object->calls, object->calls_end, sizeof *object->calls) ||
      !is_whole(object->locks, object->locks_end, sizeof *object->locks)) {
    textpoke_say("a table is no number of whole entries");
    return TEXTPOKE_ERROR_TABLE;
  }
  size_t jumps = (size_t)(object->jumps_end - object->jumps), calls = (size_t)(object->calls_end - object->calls);
  object->site_count = 0;
  object->sites = calloc(jumps + 2 * calls + 1, sizeof *object->sites);
  if (!object->sites)
    return TEXTPOKE_ERROR_MEMORY;
  int error = read_branches(object);
  if (!error)
    error = read_calls(object);
  if (!error) {
    sort_sites(object);
    error = check_keys(object);
  }
  if (!error)
    error = cover(object);
  if (!error)
    error = init_sites(object);
  if (!error)
    error = textpoke_locks_follow(object);
  if (!error)
    write_tables(object);
  return error;
}

static void drop_sites(struct textpoke_object *object) {
  if (object->covered_end)
    write_uncover(object->covered_start, object->covered_end);
  object->covered_start = object->covered_end = 0;
  free(object->sites);
  object->sites = NULL;
  object->site_count = 0;
}

static int start_object(struct textpoke_object *object) {
  object->error = init_object(object);
  object->state = object->error ? TEXTPOKE_REFUSED : TEXTPOKE_READY;
  if (object->error)
    drop_sites(object);
  return object->error;
}

/* What is done once, before the program makes threads. With the lock. */
static void enter(void) {
  if (textpoke_entered)
    return;
  stop_note_helpers();
  sync_watch_forks();
  textpoke_entered = true;
}

/* Behind it everything may be called: what is loaded is relocated, and the C library is ready. */
__attribute__((constructor(101))) static void enter_process(void) {
  sigset_t mask;
  segments_find_library();
  textpoke_lock(&mask);
  enter();
  textpoke_unlock(&mask);
}

#ifdef TEXTPOKE_NO_PATCHING
static int choose(void) { return TEXTPOKE_OK; }
#else
static int choose(void) {
  enum textpoke_error error = write_choose();
  return error ? error : sync_choose();
}
#endif

enum textpoke_error textpoke_init(void) {
  sigset_t mask;
  textpoke_lock(&mask);
  int error = textpoke_started ? TEXTPOKE_OK : choose();
  textpoke_started = !error;
  textpoke_failed = error;
  for (struct textpoke_object *object = textpoke_objects; textpoke_started && object; object = object->next)
    if (object->state != TEXTPOKE_READY) {
      int own = start_object(object);
      error = error ? error : own;
    }
  textpoke_unlock(&mask);
  control_if_asked();
  return (enum textpoke_error)error;
}

void textpoke_register(struct textpoke_object *object) {
  sigset_t mask;
  if (object->size != sizeof *object) {
    textpoke_say("an object was built for another version of the library; its code stays as it is");
    return;
  }
  textpoke_read_segments(object);
  if (object->jumps == object->jumps_end && object->calls == object->calls_end && object->locks == object->locks_end)
    return;
  textpoke_lock(&mask);
  enter();
  object->next = textpoke_objects;
  textpoke_objects = object;
  if (textpoke_started)
    start_object(object);
  textpoke_unlock(&mask);
}

void textpoke_unregister(struct textpoke_object *object) {
  sigset_t mask;
  if (object->size == sizeof *object)
    deferred_forget(object);
  textpoke_lock(&mask);
  struct textpoke_object **link = &textpoke_objects;
  while (*link && *link != object)
    link = &(*link)->next;
  if (*link) {
    *link = object->next;
    drop_sites(object);
  }
  textpoke_unlock(&mask);
}
