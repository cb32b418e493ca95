/* SPDX-License-Identifier: MIT
 * USDT: notes in .note.stapsdt (<sys/sdt.h>) at which gdb, perf, bpftrace and SystemTap can stop, in the order of the
 * changes. A NOP each as long as nobody does. -DTEXTPOKE_NO_USDT leaves them out, as a system without the header does.
 *
 *     textpoke:key   key, count before, count after      a key's sites were changed
 *     textpoke:call  key, function before, function      a call leads elsewhere; 0 is NULL
 *     textpoke:cpus  number                              of CPUs
 */
#ifndef TEXTPOKE_PROBES_H
#define TEXTPOKE_PROBES_H

#if defined(__has_include) && !defined(TEXTPOKE_NO_USDT)
#if __has_include(<sys/sdt.h>)
#include <sys/sdt.h>
#ifdef __clang__ /* its macros, which are GNU's */
#pragma clang diagnostic ignored "-Wpedantic"
#endif
#endif
#endif

#ifdef STAP_PROBE3
#define PROBE_KEY(key, before, after) STAP_PROBE3(textpoke, key, key, before, after)
#define PROBE_CALL(key, before, after) STAP_PROBE3(textpoke, call, key, before, after)
#define PROBE_CPUS(number) STAP_PROBE1(textpoke, cpus, number)
#else
#define PROBE_KEY(key, before, after) ((void)(key), (void)(before), (void)(after))
#define PROBE_CALL(key, before, after) ((void)(key), (void)(before), (void)(after))
#define PROBE_CPUS(number) ((void)(number))
#endif

#endif
