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
 */
#ifndef TEXTPOKE_LOCK_H
#define TEXTPOKE_LOCK_H

#include "arch.h"

#ifndef __ASSEMBLER__
#define TEXTPOKE_STRING_(...) #__VA_ARGS__
#define TEXTPOKE_STRING(...) TEXTPOKE_STRING_(__VA_ARGS__)

#define TEXTPOKE_KEEP_LOCK                                                                                   \
  ".weak __textpoke_keep_lock; .hidden __textpoke_keep_lock\n\t"                                             \
  "772: .reloc 772b, " TEXTPOKE_STRING(TEXTPOKE_ARCH_NONE) ", __textpoke_keep_lock\n\t"
#else
.macro TEXTPOKE_KEEP_LOCK
	.weak __textpoke_keep_lock
	.hidden __textpoke_keep_lock
772:	.reloc 772b, TEXTPOKE_ARCH_NONE, __textpoke_keep_lock
.endm
#endif

#endif
