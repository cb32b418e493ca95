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
