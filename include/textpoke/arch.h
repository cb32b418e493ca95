/* SPDX-License-Identifier: MIT
 * Chooses the one header that holds this machine's assembly. What such a header must define is listed here.
 *
 * For C and C++:
 *   TEXTPOKE_ARCH_BRANCH(key, jump, branch, l_yes)
 *       A statement: `asm goto` with the site of a static branch and its two markers. `key` is the address
 *       of a struct static_key and must be a link-time constant; `jump` says whether the full-width jump (1)
 *       or the NOP (0) is written; `branch` is 0 for unlikely, 1 for likely; `l_yes` is a C label.
 *   TEXTPOKE_ARCH_TRAMPOLINE_JUMP(function), TEXTPOKE_ARCH_TRAMPOLINE_RETURN
 *       The assembly text of a trampoline's body, before its signature.
 *   TEXTPOKE_ARCH_TRAMPOLINE(scope, name, key, body)
 *       The assembly text of the whole trampoline; `scope` holds the directives that bind its symbol.
 *   TEXTPOKE_ARCH_TRAMPOLINE_THROUGH_KEY
 *       Defined where the trampoline loads its key, and so never names the function.
 *   TEXTPOKE_ARCH_FUNCTION
 *       What stands in front of a function's label: the state of its instructions on ARM.
 *   TEXTPOKE_ARCH_FUNCTION_OPERAND(operand)
 *       How inline assembly spells a function operand without punctuation, PLT allowed. Not needed where
 *       trampolines go through the key.
 *   TEXTPOKE_ARCH_RETURN0
 *       The assembly text of __static_call_return0's body.
 *   TEXTPOKE_ARCH_UNFIT
 *       Defined where the code model leaves no sites. static_key.h and static_call.h say so.
 *   TEXTPOKE_ARCH_NONE, TEXTPOKE_ARCH_PROGBITS
 *       The relocation that does nothing, and the section type, as the assembler spells them.
 *
 * Every site of a static branch ends with TEXTPOKE_UNIT (in assembly a macro), which this header defines.
 *
 * TEXTPOKE_NO_PATCHING, defined by the program or, on a machine without such a header, here: branches load the counts of
 * their keys, and calls go through the pointers in theirs. There are no sites, no tables and nothing to annotate.
 */
#ifndef TEXTPOKE_ARCH_H
#define TEXTPOKE_ARCH_H

#if !defined(__GNUC__) && !defined(__ASSEMBLER__)
#error "textpoke: the headers need GNU C: asm goto, statement expressions, __typeof__ (gcc 12, clang 14 or later)"
#endif

/* A note, once in each unit that has static branches: "compiled, not annotated" (type 0x10, one word). Annotate makes
 * it say that the unit is annotated; left as it is, it tells textpoke verify that the branches of the unit never
 * switch. Linkers keep notes, and no relocation in it keeps code alive. The label is what is looked for, so that the
 * second site of a unit adds nothing; the name of the source is that of the unit's file symbol. It stands behind the
 * site: data takes the source line that waits for the next instruction. */
#ifndef __ASSEMBLER__
#define TEXTPOKE_UNIT                                                                                        \
  ".ifndef __textpoke_unit\n\t"                                                                              \
  ".pushsection .note.textpoke, \"a\"\n\t"                                                                   \
  ".balign 4\n"                                                                                              \
  "__textpoke_unit:\n\t"                                                                                     \
  ".long 9, 4, 0x10\n\t"                                                                                     \
  ".ascii \"textpoke\\0\\0\\0\\0\"\n\t"                                                                      \
  ".long 0\n\t"                                                                                              \
  ".popsection\n\t"                                                                                          \
  ".endif\n\t"
#else
.macro TEXTPOKE_UNIT
	.ifndef __textpoke_unit
	.pushsection .note.textpoke, "a"
	.balign 4
__textpoke_unit:
	.long 9, 4, 0x10
	.ascii "textpoke\0\0\0\0"
	.long 0
	.popsection
	.endif
.endm
#endif

#if defined(TEXTPOKE_NO_PATCHING)
#ifdef __ASSEMBLER__
#error "textpoke: the macros for assembly have no form without patching"
#endif
#elif defined(__x86_64__) && defined(__LP64__)
#include "arch/x86-64.h"
#elif defined(__aarch64__) && defined(__LP64__)
#include "arch/aarch64.h"
#elif defined(__arm__)
#include "arch/arm.h"
#elif defined(__ASSEMBLER__)
#error "textpoke: no arch header for this machine yet"
#else
#define TEXTPOKE_NO_PATCHING 1
#endif

#endif
