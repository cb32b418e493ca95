/* SPDX-License-Identifier: MIT
 * The x86-64 assembly behind static_key.h, static_call.h and lock.h. Include those, not this.
 * Follows Linux arch/x86/include/asm/jump_label.h and arch/x86/include/asm/static_call.h.
 */
#ifndef TEXTPOKE_ARCH_X86_64_H
#define TEXTPOKE_ARCH_X86_64_H

/* Calls go through registers there, and gcc's keys too. Locks are fine. */
#ifdef __code_model_large__
#define TEXTPOKE_ARCH_UNFIT 1
#endif

#define TEXTPOKE_ARCH_NONE R_X86_64_NONE
#define TEXTPOKE_ARCH_PROGBITS @progbits

#ifndef __ASSEMBLER__

/* clang writes no symbol table entry for a symbol that nothing but .reloc names; a word in a section that
 * every link leaves out makes it write one. gas needs no such help. */
#ifdef __clang__
#define TEXTPOKE_ARCH_MENTION(key)                                                                           \
  ".pushsection .textpoke.keys, \"e\", @progbits\n\t"                                                        \
  ".quad " key "\n\t"                                                                                        \
  ".popsection\n\t"
#else
#define TEXTPOKE_ARCH_MENTION(key)
#endif

/* The site S is always 5 bytes. Markers: at S+0 the target, at S+2 (unlikely) or S+3 (likely) the key.
 * %c prints a constant operand bare, without `$`. */
#define TEXTPOKE_ARCH_BRANCH(key, jump, branch, l_yes)                                                       \
  __asm__ __inline__ goto("771:\n\t"                                                                         \
                          ".if %c[textpoke_jump]\n\t"                                                        \
                          ".byte 0xe9\n\t" /* jmp rel32 */                                                   \
                          ".long %l[" #l_yes "] - (. + 4)\n\t"                                               \
                          ".else\n\t"                                                                        \
                          ".byte 0x0f, 0x1f, 0x44, 0x00, 0x00\n\t" /* nopl 0(%rax,%rax,1) */                 \
                          ".endif\n\t"                                                                       \
                          ".reloc 771b, R_X86_64_NONE, %l[" #l_yes "]\n\t"                                   \
                          ".reloc 771b + 2 + %c[textpoke_branch], R_X86_64_NONE, %c[textpoke_key]\n\t"       \
                          TEXTPOKE_ARCH_MENTION("%c[textpoke_key]")                                          \
                          TEXTPOKE_UNIT                                                                      \
                          : /* asm goto of gcc 10 and earlier has no outputs */                              \
                          : [textpoke_key] "i"(key), [textpoke_jump] "i"(jump), [textpoke_branch] "i"(branch) \
                          : /* clobbers nothing */                                                           \
                          : l_yes)

/* A trampoline is 5 bytes that may be patched and 3 that say what it is. jmp.d32 is e9 however near the
 * function is, and takes a PLT entry when the function turns out to live in another shared object. */
#define TEXTPOKE_ARCH_TRAMPOLINE_JUMP(function) "jmp.d32 " function
#define TEXTPOKE_ARCH_TRAMPOLINE_RETURN "ret; int3; nop; nop; nop"
#define TEXTPOKE_ARCH_TRAMPOLINE(scope, name, key, body)                                                     \
  ".pushsection .static_call.text, \"ax\", @progbits\n\t"                                                    \
  ".balign 8\n\t" scope ".type " name ", @function\n" name ":\n\t" body "\n\t"                               \
  ".byte 0x0f, 0xb9, 0xcc\n\t" /* ud1 %esp, %ecx: "a trampoline" since Linux 5.19 */                         \
  ".size " name ", . - " name "\n\t"                                                                         \
  ".popsection\n"

/* The symbol alone: gcc's %P would add @GOTPCREL and a star under -fno-plt, and clang knows no %p. */
#ifdef __clang__
#define TEXTPOKE_ARCH_FUNCTION_OPERAND(operand) "%P" operand
#else
#define TEXTPOKE_ARCH_FUNCTION_OPERAND(operand) "%p" operand
#endif

#define TEXTPOKE_ARCH_FUNCTION ""
#define TEXTPOKE_ARCH_RETURN0 "xorl %eax, %eax; ret"

#else /* __ASSEMBLER__ */

/* Bodies of the assembler macros in static_key.h and static_call.h. */
.macro TEXTPOKE_ARCH_BRANCH key:req, target:req, jump:req, branch:req
771:
	.if \jump
	.byte 0xe9
	.long \target - (. + 4)
	.else
	.byte 0x0f, 0x1f, 0x44, 0x00, 0x00
	.endif
	.reloc 771b, R_X86_64_NONE, \target
	.reloc 771b + 2 + \branch, R_X86_64_NONE, \key
	.pushsection .textpoke.keys, "e", @progbits
	.quad \key
	.popsection
	TEXTPOKE_UNIT
.endm

.macro TEXTPOKE_ARCH_KEY enabled:req, name:req
	.balign 8
\name:
	.long \enabled, 0
	.quad \enabled
.endm

.macro TEXTPOKE_ARCH_CALL_KEY func:req, name:req
	.balign 8
\name:
	.quad \func
	.quad 1
.endm

.macro TEXTPOKE_ARCH_FUNCTION
.endm

.macro TEXTPOKE_ARCH_TRAMPOLINE_JUMP function:req, key
	jmp.d32 \function
	.byte 0x0f, 0xb9, 0xcc
.endm

.macro TEXTPOKE_ARCH_TRAMPOLINE_RETURN key
	ret
	int3
	nop
	nop
	nop
	.byte 0x0f, 0xb9, 0xcc
.endm

.macro TEXTPOKE_ARCH_RETURN0
	xorl %eax, %eax
	ret
.endm

.macro TEXTPOKE_ARCH_CALL function:req
	call \function
.endm

.macro TEXTPOKE_ARCH_TAIL_CALL function:req
	jmp.d32 \function
.endm

#endif
#endif
