/* SPDX-License-Identifier: MIT
 * What addresses are: code or data of an object that has tables, or of another one that is loaded.
 *
 * dl_iterate_phdr() takes a lock of the dynamic loader, which glibc does not make anew in the child of a fork: if
 * another thread was loading a library at that moment, whoever asks in the child waits for ever. So objects with tables
 * are asked first, then in a child what was loaded when it was made, and the loader for what has come since.
 */
#include "internal.h"

#include <link.h>
#include <stdlib.h>

bool textpoke_stays;

/* ---- the loader */

struct list {
  uintptr_t address;
  struct textpoke_segment *segments;
  size_t count, room;
};

static void add_segments(struct list *list, const struct dl_phdr_info *info) {
  for (int i = 0; i < info->dlpi_phnum; i++) {
    const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
    uintptr_t start = (uintptr_t)info->dlpi_addr + (uintptr_t)segment->p_vaddr;
    if (segment->p_type == PT_LOAD && list->count < list->room)
      list->segments[list->count++] =
          (struct textpoke_segment){start, start + (uintptr_t)segment->p_memsz, segment->p_flags};
  }
}

static const struct textpoke_segment *segment_at(const struct textpoke_segment *segments, size_t count, uintptr_t address) {
  for (size_t i = 0; i < count; i++)
    if (address >= segments[i].start && address < segments[i].end)
      return &segments[i];
  return NULL;
}

/* For dl_iterate_phdr(): the segments of the object that has the address. */
static int add_if_there(struct dl_phdr_info *info, size_t size, void *data) {
  struct list *list = data;
  (void)size;
  add_segments(list, info);
  if (segment_at(list->segments, list->count, list->address))
    return 1;
  list->count = 0;
  return 0;
}

static int add_all(struct dl_phdr_info *info, size_t size, void *data) {
  (void)size;
  add_segments(data, info);
  return 0;
}

/* The program is the first of all that are loaded. */
static int add_program(struct dl_phdr_info *info, size_t size, void *data) {
  (void)size;
  add_segments(data, info);
  return 1;
}

static int count_all(struct dl_phdr_info *info, size_t size, void *data) {
  (void)size;
  *(size_t *)data += info->dlpi_phnum;
  return 0;
}

enum { SEGMENTS = sizeof ((struct textpoke_object *)0)->segments / sizeof(struct textpoke_segment) };

void textpoke_read_segments(struct textpoke_object *object) {
  struct list own = {.address = (uintptr_t)object, .segments = object->segments, .room = SEGMENTS};
  dl_iterate_phdr(add_if_there, &own);
  object->segment_count = own.count;
}

void segments_find_library(void) {
  struct textpoke_segment segments[SEGMENTS];
  struct list program = {.segments = segments, .room = SEGMENTS};
  dl_iterate_phdr(add_program, &program);
  textpoke_stays = segment_at(segments, program.count, (uintptr_t)&textpoke_stays) != NULL;
}

/* ---- fork */

struct textpoke_loaded {
  size_t count;
  struct textpoke_segment segments[];
};
static struct textpoke_loaded *at_fork; /* in a child: all that was loaded when it was made */

struct textpoke_loaded *segments_loaded(void) {
  size_t room = 0;
  dl_iterate_phdr(count_all, &room);
  struct textpoke_loaded *loaded = malloc(sizeof *loaded + room * sizeof *loaded->segments);
  if (!loaded)
    return NULL;
  struct list all = {.segments = loaded->segments, .room = room};
  dl_iterate_phdr(add_all, &all);
  loaded->count = all.count;
  return loaded;
}

void segments_before_fork(struct textpoke_loaded *loaded) {
  free(at_fork);
  at_fork = loaded;
}

void segments_in_parent(void) { segments_before_fork(NULL); }

/* ---- what is asked */

size_t textpoke_room_at(const struct textpoke_object *object, uintptr_t address, unsigned flag) {
  const struct textpoke_segment *segment = segment_at(object->segments, object->segment_count, address);
  return segment && segment->flags & flag ? segment->end - address : 0;
}

struct textpoke_object *textpoke_object_of(uintptr_t address, unsigned flag) {
  struct textpoke_object *object = textpoke_objects;
  while (object && !textpoke_room_at(object, address, flag))
    object = object->next;
  return object;
}

/* Bytes from an address to the end of its segment, if that has the flag. */
static size_t room_anywhere(uintptr_t address, unsigned flag) {
  struct textpoke_segment segments[SEGMENTS];
  struct list list = {.address = address, .segments = segments, .room = SEGMENTS};
  const struct textpoke_object *object = textpoke_object_of(address, flag);
  if (object)
    return textpoke_room_at(object, address, flag);
  const struct textpoke_segment *segment = at_fork ? segment_at(at_fork->segments, at_fork->count, address) : NULL;
  if (!segment && dl_iterate_phdr(add_if_there, &list))
    segment = segment_at(segments, list.count, address);
  return segment && segment->flags & flag ? segment->end - address : 0;
}

bool textpoke_has_code(const struct textpoke_object *object, uintptr_t place, size_t size) {
  return textpoke_room_at(object, place, PF_X) >= size;
}

bool textpoke_is_code(uintptr_t pointer) { return room_anywhere(pointer, PF_X) > 0; }

bool textpoke_is_data(const void *key, size_t size) {
  return room_anywhere((uintptr_t)key, PF_W) >= size && (uintptr_t)key % sizeof(long) == 0;
}
