/* SPDX-License-Identifier: MIT
 * The AArch64 assembly behind static_key.h, static_call.h and lock.h. Include those, not this.
 * Follows Linux arch/arm64/include/asm/jump_label.h; the branch encodings are those of the Arm ARM, section C6.2.
 */
#ifndef TEXTPOKE_ARCH_AARCH64_H
#define TEXTPOKE_ARCH_AARCH64_H

#define TEXTPOKE_ARCH_NONE R_AARCH64_NONE
#define TEXTPOKE_ARCH_PROGBITS %progbits

#ifndef __ASSEMBLER__

/* clang writes no symbol table entry for a symbol that nothing but .reloc names; a word in a section that
 * every link leaves out makes it write one. gas needs no such help. */
#ifdef __clang__
#define TEXTPOKE_ARCH_MENTION(key)                                                                           \
  ".pushsection .textpoke.keys, \"e\", %%progbits\n\t"                                                       \
  ".xword " key "\n\t"                                                                                       \
  ".popsection\n\t"
#else
#define TEXTPOKE_ARCH_MENTION(key)
#endif

/* A key's address that is constant at link time. gcc takes no symbol for "i" in position-independent code, but
 * for "S"; clang 14 takes no offset from a symbol for "S". */
#ifdef __clang__
#define TEXTPOKE_ARCH_ADDRESS "i"
#else
#define TEXTPOKE_ARCH_ADDRESS "S"
#endif

/* The site S is one instruction, nop or b. Markers: at S+0 the target, at S+2 (unlikely) or S+3 (likely) the
 * key; both lie inside of it. The target must be within 128 MiB: it is in the same function. */
#define TEXTPOKE_ARCH_BRANCH(key, jump, branch, l_yes)                                                       \
  __asm__ __inline__ goto("771:\n\t"                                                                         \
                          ".if %c[textpoke_jump]\n\t"                                                        \
                          "b %l[" #l_yes "]\n\t"                                                             \
                          ".else\n\t"                                                                        \
                          "nop\n\t"                                                                          \
                          ".endif\n\t"                                                                       \
                          ".reloc 771b, R_AARCH64_NONE, %l[" #l_yes "]\n\t"                                  \
                          ".reloc 771b + 2 + %c[textpoke_branch], R_AARCH64_NONE, %c[textpoke_key]\n\t"      \
                          TEXTPOKE_ARCH_MENTION("%c[textpoke_key]")                                          \
                          TEXTPOKE_UNIT                                                                      \
                          : /* asm goto of gcc 10 and earlier has no outputs */                              \
                          : [textpoke_key] TEXTPOKE_ARCH_ADDRESS(key), [textpoke_jump] "i"(jump),            \
                            [textpoke_branch] "i"(branch)                                                    \
                          : /* clobbers nothing */                                                           \
                          : l_yes)

/* clang 14 takes the section it comes back to for code that has begun, when the section it leaves ended in code:
 * .text then has no mapping symbol $x at its start (AAELF64 5.5.4), and GNU ld with --fix-cortex-a53-843419 reads
 * behind its end. Leaving the section once more, with nothing in it, makes it forget. clang 19 needs no such help. */
#if defined(__clang__) && __clang_major__ < 19
#define TEXTPOKE_ARCH_FORGET_CODE "\t.pushsection .static_call.text, \"ax\", @progbits\n\t.popsection\n"
#else
#define TEXTPOKE_ARCH_FORGET_CODE
#endif

/* A trampoline is one instruction that may be patched and a word that says what it is: udf #0x4353, "SC" in
 * memory, undefined for ever (Arm ARM C6.2.387). `b` reaches 128 MiB to either side. For a function farther
 * away, or in another shared object, the linker puts a veneer or a PLT entry between, which use x16 and x17, as
 * a call may (AAPCS64 6.1.1); patching needs the reach. */
#define TEXTPOKE_ARCH_TRAMPOLINE_JUMP(function) "b " function
#define TEXTPOKE_ARCH_TRAMPOLINE_RETURN "ret"
#define TEXTPOKE_ARCH_TRAMPOLINE(scope, name, key, body)                                                     \
  ".pushsection .static_call.text, \"ax\", @progbits\n\t"                                                    \
  ".balign 8\n\t" scope ".type " name ", STT_FUNC\n" name ":\n\t" body "\n\t"                                \
  ".inst 0x00004353\n\t" /* udf #0x4353: "a trampoline" */                                                   \
  ".size " name ", . - " name "\n\t"                                                                         \
  ".popsection\n" TEXTPOKE_ARCH_FORGET_CODE

#define TEXTPOKE_ARCH_FUNCTION_OPERAND(operand) "%c" operand

#define TEXTPOKE_ARCH_FUNCTION ""
#define TEXTPOKE_ARCH_RETURN0 "mov x0, #0; ret"

#else /* __ASSEMBLER__ */

/* Bodies of the assembler macros in static_key.h and static_call.h. */
.macro TEXTPOKE_ARCH_BRANCH key:req, target:req, jump:req, branch:req
771:
	.if \jump
	b \target
	.else
	nop
	.endif
	.reloc 771b, R_AARCH64_NONE, \target
	.reloc 771b + 2 + \branch, R_AARCH64_NONE, \key
	.pushsection .textpoke.keys, "e", %progbits
	.xword \key
	.popsection
	TEXTPOKE_UNIT
.endm

.macro TEXTPOKE_ARCH_KEY enabled:req, name:req
	.balign 8
\name:
	.word \enabled, 0
	.xword \enabled
.endm

.macro TEXTPOKE_ARCH_CALL_KEY func:req, name:req
	.balign 8
\name:
	.xword \func
	.xword 1
.endm

.macro TEXTPOKE_ARCH_FUNCTION
.endm

.macro TEXTPOKE_ARCH_TRAMPOLINE_JUMP function:req, key
	b \function
	.inst 0x00004353
.endm

.macro TEXTPOKE_ARCH_TRAMPOLINE_RETURN key
	ret
	.inst 0x00004353
.endm

.macro TEXTPOKE_ARCH_RETURN0
	mov x0, #0
	ret
.endm

.macro TEXTPOKE_ARCH_CALL function:req
	bl \function
.endm

.macro TEXTPOKE_ARCH_TAIL_CALL function:req
	b \function
.endm

#endif
#endif
