/* SPDX-License-Identifier: MIT
 * The few spellings that compilers warn about although they are meant. The compilers say nothing about what
 * comes from a system header, so this one calls itself that, and holds nothing else.
 */
#ifndef TEXTPOKE_QUIET_H
#define TEXTPOKE_QUIET_H
#pragma GCC system_header

/* Without effect on a `static` variable, which g++ would point out at every file-local key. */
#define TEXTPOKE_HIDDEN __attribute__((visibility("hidden")))

/* Puts an object into initialised data even where it is all zero. */
#define TEXTPOKE_KEY_DATA(name) __attribute__((section(".data.static_key." #name)))

/* `TEXTPOKE_HIDDEN_DATA(type, name, dimension) = value; TEXTPOKE_END_OF_HIDDEN_DATA;` defines a variable with
 * both attributes, and `static` may stand before it. gcc's C front end warns about the attribute there and has
 * no way to keep it quiet, but takes the pragma, in the one place inside a declaration that may hold one. */
#if !defined(__cplusplus) && !defined(__clang__)
#define TEXTPOKE_HIDDEN_DATA(type, name, dimension)                                                          \
  __typeof__(((struct { _Pragma("GCC visibility push(hidden)") type data; } *)0)->data)                      \
      name dimension TEXTPOKE_KEY_DATA(name)
#define TEXTPOKE_END_OF_HIDDEN_DATA _Pragma("GCC visibility pop") __extension__ _Static_assert(1, "")
#elif defined(__cplusplus)
#define TEXTPOKE_HIDDEN_DATA(type, name, dimension) type name dimension TEXTPOKE_HIDDEN TEXTPOKE_KEY_DATA(name)
#define TEXTPOKE_END_OF_HIDDEN_DATA static_assert(true, "")
#else
#define TEXTPOKE_HIDDEN_DATA(type, name, dimension) type name dimension TEXTPOKE_HIDDEN TEXTPOKE_KEY_DATA(name)
#define TEXTPOKE_END_OF_HIDDEN_DATA __extension__ _Static_assert(1, "")
#endif

/* A GNU range of designators. C only. clang points it out under -pedantic, in a system header too. */
#ifdef __clang__
#define TEXTPOKE_EVERY_ELEMENT(count, value)                                                                 \
  {                                                                                                          \
    _Pragma("clang diagnostic push") _Pragma("clang diagnostic ignored \"-Wgnu-designator\"")                \
    [0 ...(count) - 1] = value                                                                               \
    _Pragma("clang diagnostic pop")                                                                          \
  }
#else
#define TEXTPOKE_EVERY_ELEMENT(count, value)                                                                 \
  { [0 ...(count) - 1] = value }
#endif

#endif
