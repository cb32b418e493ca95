/* SPDX-License-Identifier: MIT
 * libtextpoke: changes the static keys and static calls of the running program. docs/runtime.md is its description,
 * textpoke_runtime(3) its manual page.
 *
 *     textpoke_init();                        // once; sites then follow their keys
 *     static_branch_enable(&tracing);         // any thread, at any time
 *     static_call_update(greet, german);
 *
 * Every function here may be called by any thread, but not by a signal handler. A change returns when every thread
 * runs the new code. What could not be done is said by an error, a line goes to the log, and nothing has changed.
 */
#ifndef TEXTPOKE_RUNTIME_H
#define TEXTPOKE_RUNTIME_H

#include "static_call.h"
#include "static_key.h"

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

#define TEXTPOKE_API __attribute__((visibility("default")))

enum textpoke_error {
  TEXTPOKE_OK = 0,
  TEXTPOKE_ERROR_TABLE,    /* a table is broken: an entry outside of the object, or two that contradict each other */
  TEXTPOKE_ERROR_SITE,     /* a site does not hold what a compiler leaves there */
  TEXTPOKE_ERROR_FOREIGN,  /* somebody else's bytes stand at a site: a breakpoint, a probe */
  TEXTPOKE_ERROR_KEY,      /* no key, or no trampoline of the call */
  TEXTPOKE_ERROR_FUNCTION, /* not the address of code */
  TEXTPOKE_ERROR_COUNT,    /* the count of a key does not allow it */
  TEXTPOKE_ERROR_ARGUMENT, /* an operation or a number out of range */
  TEXTPOKE_ERROR_WRITE,    /* text cannot be written on this system; the log says which setting is in the way */
  TEXTPOKE_ERROR_THREADS,  /* a thread could not be stopped or synchronised */
  TEXTPOKE_ERROR_MEMORY,   /* no memory for what has to be kept */
  TEXTPOKE_ERROR_CONTROL   /* the socket of textpoke_control() cannot be opened */
};

/* What an error means, in words. */
TEXTPOKE_API const char *textpoke_strerror(enum textpoke_error error);

/* Where lines of trouble go, without the end of the line; NULL for stderr, as at the start. */
TEXTPOKE_API void textpoke_set_log(void (*log)(const char *line));

/* Brings every site of every object to what its key says, and sorts the tables. What keys were told before then counts.
 * Objects that are loaded later follow by themselves. Calling it again does nothing, or what failed before. */
TEXTPOKE_API enum textpoke_error textpoke_init(void);

/* How this process writes its text and makes threads see it, in words: "mem, membarrier". "not at all" before
 * textpoke_init(), and where that failed; "loads" where nothing is patched (TEXTPOKE_NO_PATCHING). */
TEXTPOKE_API const char *textpoke_ways(void);

/* With 1, lock prefixes and barriers between CPUs are dropped; with more they come back. The caller sees to it that the
 * process runs on one CPU: first sched_setaffinity(), then this; and in the other order on the way back. */
TEXTPOKE_API enum textpoke_error textpoke_set_cpus(int cpus);

/* Opens a UNIX socket on which the owner of the process, and root, may list and change its keys: `textpoke ctl PID list`.
 * NULL: /run/user/UID/textpoke.PID, or /tmp/textpoke-UID/textpoke.PID. Once in a process; a child of fork() has none before
 * it asks for one. textpoke_init() does it where the environment has TEXTPOKE_CONTROL=1, or a path there. */
TEXTPOKE_API enum textpoke_error textpoke_control(const char *path);

/* Where the socket is; NULL where this process has none. */
TEXTPOKE_API const char *textpoke_control_path(void);

enum textpoke_operation {
  TEXTPOKE_ENABLE,
  TEXTPOKE_DISABLE,
  TEXTPOKE_INC,
  TEXTPOKE_DEC,
  TEXTPOKE_UPDATE
};

/* One change: of a struct static_key, or of a struct static_call_key with its trampoline. */
struct textpoke_change {
  enum textpoke_operation operation;
  void *key;
  void *trampoline;
  void *function;
};

/* Many changes as one, in their order: all of them or none. Threads are synchronised three times, however many sites
 * there are. A thread may see some sites changed and others not until it returns. */
TEXTPOKE_API enum textpoke_error textpoke_apply(const struct textpoke_change *changes, size_t count);

/* The kernel's functions. They are true when the key is as asked; trouble goes to the log. Enabling and disabling are
 * for keys whose count is 0 or 1, and no count goes below 0 (Linux 6.1 and later). */
TEXTPOKE_API bool static_key_enable(struct static_key *key);
TEXTPOKE_API bool static_key_disable(struct static_key *key);
TEXTPOKE_API bool static_key_slow_inc(struct static_key *key);
TEXTPOKE_API bool static_key_slow_dec(struct static_key *key);
/* Increments a key that is on; false, and nothing has changed, where it is off. */
TEXTPOKE_API bool static_key_fast_inc_not_disabled(struct static_key *key);

/* They take struct static_key_true * and struct static_key_false *. */
#define static_branch_enable(x) static_key_enable(&(x)->key)
#define static_branch_disable(x) static_key_disable(&(x)->key)
#define static_branch_inc(x) static_key_slow_inc(&(x)->key)
#define static_branch_dec(x) static_key_slow_dec(&(x)->key)

/* A program has no lock against CPUs that come and go. */
#define static_key_enable_cpuslocked(k) static_key_enable(k)
#define static_key_disable_cpuslocked(k) static_key_disable(k)
#define static_key_slow_inc_cpuslocked(k) static_key_slow_inc(k)
#define static_key_slow_dec_cpuslocked(k) static_key_slow_dec(k)
#define static_branch_enable_cpuslocked(x) static_branch_enable(x)
#define static_branch_disable_cpuslocked(x) static_branch_disable(x)
#define static_branch_inc_cpuslocked(x) static_branch_inc(x)
#define static_branch_dec_cpuslocked(x) static_branch_dec(x)

/* static_call_update(name, function): a function of the call's type (another one is an error of the compiler), 0 for
 * NULL (in C++ 0 or nullptr), or (void *)&__static_call_return0. */
#ifdef TEXTPOKE_NO_PATCHING
#define TEXTPOKE_TRAMPOLINE(name) 0
#elif defined(__cplusplus)
#define TEXTPOKE_TRAMPOLINE(name) reinterpret_cast<void *>(&STATIC_CALL_TRAMP(name))
#else
#define TEXTPOKE_TRAMPOLINE(name) (void *)&STATIC_CALL_TRAMP(name)
#endif
#ifdef __cplusplus
#define static_call_update(name, function)                                                                   \
  textpoke_update_call(                                                                                      \
      &STATIC_CALL_KEY(name), TEXTPOKE_TRAMPOLINE(name),                                                     \
      ::textpoke_detail::function_of<__typeof__(&STATIC_CALL_TRAMP(name))>::address(function))
#else
#define TEXTPOKE_IS_TYPE_OF(function, type) __builtin_types_compatible_p(__typeof__(function), type)
#define static_call_update(name, function)                                                                   \
  __extension__({                                                                                            \
    _Static_assert(TEXTPOKE_IS_TYPE_OF(function, __typeof__(STATIC_CALL_TRAMP(name))) ||                     \
                       TEXTPOKE_IS_TYPE_OF(function, __typeof__(&STATIC_CALL_TRAMP(name))) ||                \
                       TEXTPOKE_IS_TYPE_OF(function, void *) || TEXTPOKE_IS_TYPE_OF(function, int) ||        \
                       TEXTPOKE_IS_TYPE_OF(function, long),                                                  \
                   "static_call_update: a function of another type than the call");                          \
    textpoke_update_call(&STATIC_CALL_KEY(name), TEXTPOKE_TRAMPOLINE(name), (void *)(function));             \
  })
#endif
TEXTPOKE_API enum textpoke_error textpoke_update_call(struct static_call_key *key, void *trampoline,
                                                      void *function);
#define __static_call_update(key, trampoline, function) textpoke_update_call(key, trampoline, function)

/* Whether code from start to end, both among it, holds a byte of a site of a static branch or a static call
 * (jump_label_text_reserved, __static_call_text_reserved); of trampolines too, once textpoke_init() has found them. */
TEXTPOKE_API int jump_label_text_reserved(void *start, void *end);
TEXTPOKE_API int static_call_text_reserved(void *start, void *end);
#define __static_call_text_reserved(start, end) static_call_text_reserved(start, end)

/* An entry of __jump_table (include/linux/jump_label.h): each field is the distance from itself to what it names. */
struct jump_entry {
  int code, target;
  long key; /* bit 0: likely; bit 1: in init text */
};
static inline unsigned long jump_entry_code(const struct jump_entry *entry) {
  return (unsigned long)&entry->code + (unsigned long)(long)entry->code;
}
static inline unsigned long jump_entry_target(const struct jump_entry *entry) {
  return (unsigned long)&entry->target + (unsigned long)(long)entry->target;
}
static inline struct static_key *jump_entry_key(const struct jump_entry *entry) {
  return (struct static_key *)(((unsigned long)&entry->key + (unsigned long)entry->key) & ~3UL);
}
static inline bool jump_entry_is_branch(const struct jump_entry *entry) { return (unsigned long)entry->key & 1; }
static inline bool jump_entry_is_init(const struct jump_entry *entry) { return (unsigned long)entry->key & 2; }
static inline void jump_entry_set_init(struct jump_entry *entry) { entry->key |= 2; }
enum jump_label_type { JUMP_LABEL_NOP, JUMP_LABEL_JMP };

/* Entries of .static_call_sites and .static_call_tramp_key (include/linux/static_call_types.h), distances likewise. */
struct static_call_site {
  int addr, key;
};
struct static_call_tramp_key {
  int tramp, key;
};
#define STATIC_CALL_SITE_TAIL 1UL /* a tail call */
#define STATIC_CALL_SITE_INIT 2UL /* in init text */
#define STATIC_CALL_SITE_FLAGS 3UL

/* On 32-bit ARM a trampoline loads its function from the key, and a thread may stand between the two loads: so a key
 * never holds NULL there, but this, which returns. static_call_query() says NULL. */
#ifdef TEXTPOKE_ARCH_TRAMPOLINE_THROUGH_KEY
TEXTPOKE_API void textpoke_return(void);
static inline void *textpoke_query(const struct static_call_key *key) {
  void *function = __atomic_load_n(&key->func, __ATOMIC_RELAXED);
  return function == __extension__(void *) textpoke_return ? (void *)0 : function;
}
#undef static_call_query
#define static_call_query(name) textpoke_query(&STATIC_CALL_KEY(name))
#endif

#ifdef __cplusplus
}

extern "C++" {
namespace textpoke_detail {
template <class Pointer> struct function_of {
  static void *address(Pointer function) { return reinterpret_cast<void *>(function); }
  static void *address(void *function) { return function; }
  static void *address(decltype(nullptr)) { return nullptr; }
  /* 0; another number is no address of code. */
  static void *address(int null) { return address(static_cast<long>(null)); }
  static void *address(long null) { return reinterpret_cast<void *>(null); }
};
} // namespace textpoke_detail
}
#endif

#include "jump_label_ratelimit.h"
#endif
