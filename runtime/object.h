/* SPDX-License-Identifier: MIT
 * What an executable or shared object tells the library of its tables. object.c is linked into each of them.
 */
#ifndef TEXTPOKE_OBJECT_H
#define TEXTPOKE_OBJECT_H

#include <stddef.h>
#include <stdint.h>
#include <textpoke/runtime.h>

struct textpoke_segment {
  uintptr_t start, end;
  unsigned flags; /* PF_X, PF_W */
};

struct textpoke_site;

enum textpoke_object_state { TEXTPOKE_LOADED, TEXTPOKE_READY, TEXTPOKE_REFUSED };

struct textpoke_object {
  /* What object.c fills in. */
  size_t size; /* of this structure: another version of the library refuses it */
  struct jump_entry *jumps, *jumps_end;
  struct static_call_site *calls, *calls_end;
  int32_t *locks, *locks_end; /* .smp_locks, or .smp_barriers on ARM */
  const char *init_start, *init_end;
  uintptr_t return0, jcc_return; /* __static_call_return0, __static_call_return; 0 where there is none */
  int thumb;                     /* the state of all units with sites, on 32-bit ARM */
  /* What the library keeps. */
  struct textpoke_object *next;
  enum textpoke_object_state state;
  int error;
  struct textpoke_segment segments[12];
  size_t segment_count;
  struct textpoke_site *sites; /* by key, then by place */
  size_t site_count;
  uintptr_t covered_start, covered_end;
};

#ifdef TEXTPOKE_ARCH_TRAMPOLINE_THROUGH_KEY
/* Weak, so a process has one: the executable's if it has sites, which is in the image that verify is given. */
__attribute__((weak)) void textpoke_return(void) {}
#endif

TEXTPOKE_API void textpoke_register(struct textpoke_object *object);
TEXTPOKE_API void textpoke_unregister(struct textpoke_object *object);

#endif
