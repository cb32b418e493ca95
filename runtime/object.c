/* SPDX-License-Identifier: MIT
 * Linked into each executable and shared object that has tables: their bounds are hidden symbols, which each link
 * defines anew. It registers them when the object is loaded, and takes them back before it is unmapped. Priority 101 is
 * the first that a program may use, so that constructors find their keys known.
 */
#include "object.h"

#define WEAK __attribute__((weak, visibility("hidden")))

extern struct jump_entry __start___jump_table[] WEAK, __stop___jump_table[] WEAK;
extern struct static_call_site __start_static_call_sites[] WEAK, __stop_static_call_sites[] WEAK;
#ifdef __x86_64__
extern int32_t textpoke_locks[] __asm__("__smp_locks") WEAK, textpoke_locks_end[] __asm__("__smp_locks_end") WEAK;
#else
extern int32_t textpoke_locks[] __asm__("__smp_barriers") WEAK,
    textpoke_locks_end[] __asm__("__smp_barriers_end") WEAK;
#endif
extern char _sinittext[] __attribute__((weak)), _einittext[] __attribute__((weak));
extern long __static_call_return0(void) __attribute__((weak));
extern long __static_call_return(void) __attribute__((weak));

/* For updates to it in objects without a call that begins as it. */
TEXTPOKE_DEFINE_RETURN0;

static struct textpoke_object object;

__attribute__((constructor(101))) static void textpoke_enter(void) {
  object.size = sizeof object;
  object.jumps = __start___jump_table;
  object.jumps_end = __stop___jump_table;
  object.calls = __start_static_call_sites;
  object.calls_end = __stop_static_call_sites;
  object.locks = textpoke_locks;
  object.locks_end = textpoke_locks_end;
  object.init_start = _sinittext;
  object.init_end = _einittext;
  object.return0 = (uintptr_t)&__static_call_return0;
  object.jcc_return = (uintptr_t)&__static_call_return;
#ifdef __thumb__
  object.thumb = 1;
#endif
  textpoke_register(&object);
}

__attribute__((destructor(101))) static void textpoke_leave(void) { textpoke_unregister(&object); }
