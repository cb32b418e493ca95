/* SPDX-License-Identifier: MIT
 * An atomic operation whose lock prefix must stay, on one CPU too: for memory shared with something that is
 * not one of this program's CPUs, such as a device, a hypervisor, or a process of another image.
 *
 *     __asm__ volatile(TEXTPOKE_KEEP_LOCK "lock; xaddl %0, %1" : "+r"(n), "+m"(*p) : : "memory");
 *
 * and in a .S file
 *
 *     TEXTPOKE_KEEP_LOCK
 *     lock xaddl %eax, (%rdi)
 *
 * The mark is a relocation that does nothing, R_*_NONE against __textpoke_keep_lock at the byte that follows,
 * so the prefix F0 must be the very next byte: nothing may stand between, and `lock` comes first where there
 * are more prefixes. `textpoke annotate` never lists such a lock in .smp_locks, but in .smp_locks.kept, so that
 * `textpoke verify` knows it was left out on purpose. The symbol is weak, hidden and undefined: it needs no
 * definition and reaches no dynamic symbol table.
 *
 * C11 and C++ atomics need no mark: their locks are found by decoding, and may all be dropped on one CPU.
 *
 * LOCK_PREFIX and LOCK_PREFIX_HERE (x86) are the other way round, as in arch/x86/include/asm/alternative.h: the assembler
 * itself writes the entry of .smp_locks. In an object that has such entries `textpoke annotate` adds no others, unless
 * it is asked to (--locks all), and none a second time.
 *
 *     __asm__ volatile(LOCK_PREFIX "xaddl %0, %1" : "+r"(n), "+m"(*p) : : "memory");
 *     __asm__ volatile(LOCK_PREFIX_HERE "lock; xaddl %0, %1" : "+r"(n), "+m"(*p) : : "memory");
 *
 * and in a .S file `LOCK_PREFIX`, in front of the instruction, on a line of its own.
 */
#ifndef TEXTPOKE_LOCK_H
#define TEXTPOKE_LOCK_H

#include "arch.h"

#ifdef TEXTPOKE_NO_PATCHING
#define TEXTPOKE_KEEP_LOCK ""
#define LOCK_PREFIX_HERE ""
#elif !defined(__ASSEMBLER__)
#define TEXTPOKE_STRING_(...) #__VA_ARGS__
#define TEXTPOKE_STRING(...) TEXTPOKE_STRING_(__VA_ARGS__)

#define TEXTPOKE_KEEP_LOCK                                                                                   \
  ".weak __textpoke_keep_lock; .hidden __textpoke_keep_lock\n\t"                                             \
  "772: .reloc 772b, " TEXTPOKE_STRING(TEXTPOKE_ARCH_NONE) ", __textpoke_keep_lock\n\t"
#ifdef __x86_64__
#define LOCK_PREFIX_HERE                                                                                     \
  ".pushsection .smp_locks, \"a\"\n\t"                                                                      \
  ".balign 4\n\t"                                                                                           \
  ".long 671f - .\n\t"                                                                                      \
  ".popsection\n"                                                                                            \
  "671:\n\t"
#endif
#else
.macro TEXTPOKE_KEEP_LOCK
	.weak __textpoke_keep_lock
	.hidden __textpoke_keep_lock
772:	.reloc 772b, TEXTPOKE_ARCH_NONE, __textpoke_keep_lock
.endm
#ifdef __x86_64__
.macro LOCK_PREFIX
671:	lock
	.pushsection .smp_locks, "a"
	.balign 4
	.long 671b - .
	.popsection
.endm
#endif
#endif

#if defined(__x86_64__) && !defined(__ASSEMBLER__)
#define LOCK_PREFIX LOCK_PREFIX_HERE "lock; "
#endif

#endif
