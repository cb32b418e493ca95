/* SPDX-License-Identifier: MIT
 * The 32-bit ARM assembly behind static_key.h, static_call.h and lock.h, for A32 (-marm) and Thumb-2 (-mthumb), also
 * mixed in one program. Include those, not this. Follows Linux arch/arm/include/asm/jump_label.h; encodings are those
 * of the Arm ARM (DDI 0406), section A8.8.
 */
#ifndef TEXTPOKE_ARCH_ARM_H
#define TEXTPOKE_ARCH_ARM_H

#if defined(__thumb__) && !defined(__thumb2__)
#error "textpoke: Thumb-1 has no branch of one instruction that reaches a function; compile for ARMv7 or with -marm"
#endif
#if !defined(__thumb__) && defined(__ARM_ARCH) && __ARM_ARCH < 5
#error "textpoke: calls between ARM and Thumb code need blx; compile for ARMv5T or later"
#endif

#define TEXTPOKE_ARCH_NONE R_ARM_NONE
#define TEXTPOKE_ARCH_PROGBITS %progbits

#ifndef __ASSEMBLER__

/* A NOP that is the same word in every object, whatever the assembler would make of `nop`: mov r0, r0 as the kernel
 * writes it (arch/arm/kernel/insn.c), or nop.w. A site is in the state of its unit: in a function of the other one
 * (__attribute__((target("thumb")))) the assembler refuses the words and b.w, and would make b two bytes long, which
 * is therefore measured. */
#ifdef __thumb__
#define TEXTPOKE_ARCH_NOP ".inst.w 0xf3af8000\n\t"
#define TEXTPOKE_ARCH_JUMP(target) "b.w " target "\n\t"
#define TEXTPOKE_ARCH_FUNCTION ".thumb\n\t.thumb_func\n\t"
#else
#define TEXTPOKE_ARCH_NOP ".inst 0xe1a00000\n\t"
#ifdef __clang__ /* measures it without being asked, for .reloc's sake */
#define TEXTPOKE_ARCH_JUMP(target) "b " target "\n\t"
#else
#define TEXTPOKE_ARCH_JUMP(target)                                                                           \
  "b " target "\n\t"                                                                                         \
  ".if . - 771b - 4\n\t"                                                                                     \
  ".error \"a static branch of an ARM unit in a Thumb function\"\n\t"                                        \
  ".endif\n\t"
#endif
#define TEXTPOKE_ARCH_FUNCTION ".arm\n\t"
#endif

/* A key's address that is constant at link time. In position-independent code gcc takes no symbol for "i"; "X" takes
 * anything, and %c then refuses what is no constant ("Unsupported operand for code 'c'"). That is what happens to a
 * key of the same unit, which gcc knows by a section anchor in a register: compile with -fno-section-anchors where
 * -fPIE or -fPIC is used. (A pragma could ask for it, but resets other options of the command line.) */
#if defined(__clang__) || !defined(__PIC__)
#define TEXTPOKE_ARCH_ADDRESS "i"
#else
#define TEXTPOKE_ARCH_ADDRESS "X"
#endif

/* The site S is one instruction of 4 bytes. Markers: at S+0 the target, at S+2 (unlikely) or S+3 (likely) the key.
 * They are REL relocations, which have no addend, and one in the field would be instruction bytes. The target's
 * label has a symbol of its own; a key may be an element or a member, so its whole address stands in
 * .textpoke.keys, which every final link leaves out, behind the place of its site: two words a site. */
#define TEXTPOKE_gcc_needs_fno_section_anchors __asm__ __inline__ goto /* beside -fPIE and -fPIC */
#define TEXTPOKE_ARCH_BRANCH(key, jump, branch, l_yes)                                                       \
  TEXTPOKE_gcc_needs_fno_section_anchors("771:\n\t"                                                          \
                          ".if %c[textpoke_jump]\n\t" TEXTPOKE_ARCH_JUMP("%l[" #l_yes "]")                   \
                          ".else\n\t" TEXTPOKE_ARCH_NOP ".endif\n\t"                                         \
                          ".reloc 771b, R_ARM_NONE, %l[" #l_yes "]\n\t"                                      \
                          ".reloc 771b + 2 + %c[textpoke_branch], R_ARM_NONE, %c[textpoke_key]\n\t"          \
                          ".pushsection .textpoke.keys, \"e?\", %%progbits\n\t"                              \
                          ".word 771b, %c[textpoke_key]\n\t"                                                 \
                          ".popsection\n\t"                                                                  \
                          TEXTPOKE_UNIT                                                                      \
                          : /* asm goto of gcc 10 and earlier has no outputs */                              \
                          : [textpoke_key] TEXTPOKE_ARCH_ADDRESS(key), [textpoke_jump] "i"(jump),            \
                            [textpoke_branch] "i"(branch)                                                    \
                          : /* clobbers nothing */                                                           \
                          : l_yes)

/* A trampoline goes through its key, so that it reaches any address and either state (a load into pc does, from
 * ARMv5T on), and needs patching for NULL alone: its first word then is bx lr. The last word leads to the key from
 * where pc stands when it is added; in front of it udf says what this is. */
#define TEXTPOKE_ARCH_TRAMPOLINE_THROUGH_KEY 1
#ifdef __thumb__
#define TEXTPOKE_ARCH_TRAMPOLINE_JUMP(function) ".inst.w 0xf8dfc008\n\t" /* ldr.w ip, [pc, #8] */
#define TEXTPOKE_ARCH_TRAMPOLINE_RETURN ".inst.n 0x4770, 0xbf00\n\t" /* bx lr; nop */
#define TEXTPOKE_ARCH_TRAMPOLINE_REST(key)                                                                   \
  ".inst.n 0x44fc\n\t"     /* add ip, pc */                                                                  \
  ".inst.w 0xf8dcf000\n\t" /* ldr.w pc, [ip] */                                                              \
  ".inst.n 0xde53\n\t"     /* udf #0x53: "a trampoline" */                                                   \
  ".word " key " - . + 4\n\t"
#else
#define TEXTPOKE_ARCH_TRAMPOLINE_JUMP(function) ".inst 0xe59fc004\n\t" /* ldr ip, [pc, #4] */
#define TEXTPOKE_ARCH_TRAMPOLINE_RETURN ".inst 0xe12fff1e\n\t" /* bx lr */
#define TEXTPOKE_ARCH_TRAMPOLINE_REST(key)                                                                   \
  ".inst 0xe79ff00c\n\t" /* ldr pc, [pc, ip] */                                                              \
  ".inst 0xe7f435f3\n\t" /* udf #0x4353: "a trampoline" */                                                   \
  ".word " key " - .\n\t"
#endif
#define TEXTPOKE_ARCH_TRAMPOLINE(scope, name, key, body)                                                     \
  ".pushsection .static_call.text, \"ax\", %progbits\n\t"                                                    \
  ".balign 8\n\t" scope ".type " name ", %function\n\t" TEXTPOKE_ARCH_FUNCTION name ":\n\t" body             \
      TEXTPOKE_ARCH_TRAMPOLINE_REST(key) ".size " name ", . - " name "\n\t"                                  \
  ".popsection\n"

#define TEXTPOKE_ARCH_RETURN0 "mov r0, #0; bx lr"

#else /* __ASSEMBLER__ */

/* Bodies of the assembler macros in static_key.h and static_call.h, for the state that .arm or .thumb has chosen
 * where they stand; TEXTPOKE_THUMB says which, since the assembler cannot be asked. Including this chooses the state
 * that the file is compiled for (both assemblers begin in ARM state whatever -mthumb says); behind each change of
 * state TEXTPOKE_THUMB is to be set anew (`.set TEXTPOKE_THUMB, 0`). */
	.syntax unified
#ifdef __thumb__
	.thumb
	.set TEXTPOKE_THUMB, 1
#else
	.arm
	.set TEXTPOKE_THUMB, 0
#endif

.macro TEXTPOKE_ARCH_BRANCH key:req, target:req, jump:req, branch:req
771:
	.if \jump
	.if TEXTPOKE_THUMB
	b.w \target
	.else
	b \target
	.endif
	.else
	.if TEXTPOKE_THUMB
	.inst.w 0xf3af8000
	.else
	.inst 0xe1a00000
	.endif
	.endif
	.reloc 771b, R_ARM_NONE, \target
	.reloc 771b + 2 + \branch, R_ARM_NONE, \key
	.pushsection .textpoke.keys, "e?", %progbits
	.word 771b, \key
	.popsection
	TEXTPOKE_UNIT
.endm

.macro TEXTPOKE_ARCH_KEY enabled:req, name:req
	.balign 4
\name:
	.word \enabled, \enabled
.endm

.macro TEXTPOKE_ARCH_CALL_KEY func:req, name:req
	.balign 4
\name:
	.word \func, 1
.endm

.macro TEXTPOKE_ARCH_FUNCTION
	.if TEXTPOKE_THUMB
	.thumb_func
	.endif
.endm

.macro TEXTPOKE_ARCH_TRAMPOLINE_REST key:req
	.if TEXTPOKE_THUMB
	.inst.n 0x44fc
	.inst.w 0xf8dcf000
	.inst.n 0xde53
	.word \key - . + 4
	.else
	.inst 0xe79ff00c
	.inst 0xe7f435f3
	.word \key - .
	.endif
.endm

.macro TEXTPOKE_ARCH_TRAMPOLINE_JUMP function:req, key:req
	.if TEXTPOKE_THUMB
	.inst.w 0xf8dfc008
	.else
	.inst 0xe59fc004
	.endif
	TEXTPOKE_ARCH_TRAMPOLINE_REST \key
.endm

.macro TEXTPOKE_ARCH_TRAMPOLINE_RETURN key:req
	.if TEXTPOKE_THUMB
	.inst.n 0x4770, 0xbf00
	.else
	.inst 0xe12fff1e
	.endif
	TEXTPOKE_ARCH_TRAMPOLINE_REST \key
.endm

.macro TEXTPOKE_ARCH_RETURN0
	mov r0, #0
	bx lr
.endm

.macro TEXTPOKE_ARCH_CALL function:req
	bl \function
.endm

.macro TEXTPOKE_ARCH_TAIL_CALL function:req
	.if TEXTPOKE_THUMB
	b.w \function
	.else
	b \function
	.endif
.endm

#endif
#endif
