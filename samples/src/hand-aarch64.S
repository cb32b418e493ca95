/* Hand-written assembly: everything a scanner may take for a site and is none, and sites compilers seldom
 * write. Each line that is a site says which; counts: 6 calls, 4 tails, 4 branches. */
#include "textpoke/static_call.h"
#include "textpoke/static_key.h"

	DEFINE_STATIC_KEY_TRUE hand_true
	DEFINE_STATIC_KEY_FALSE hand_false
	DEFINE_STATIC_CALL hand_call, hand_plain
	DEFINE_STATIC_CALL_NULL hand_null
	DEFINE_STATIC_CALL_RET0 hand_ret0

	.text
	.globl hand_plain, hand_other
	.type hand_plain, %function
hand_plain:
	add w0, w0, #1
	ret
	.size hand_plain, . - hand_plain
	.type hand_other, %function
hand_other:
	add w0, w0, #2
	ret
	.size hand_other, . - hand_other

/* A trampoline outside .static_call.text, in the section of its callers */
	.type __SCT__hand_near, %function
	.balign 8
__SCT__hand_near:
	TEXTPOKE_ARCH_TRAMPOLINE_JUMP hand_plain
	.size __SCT__hand_near, . - __SCT__hand_near

/* Data inside code: words that read as bl and b to a trampoline of this section */
	.type hand_table, %object
hand_table:
	.word 0x97fffffe		/* no: data, reads as bl __SCT__hand_near */
	.word 0x17fffffd		/* no: data, reads as b __SCT__hand_near */
	.xword hand_plain
	.size hand_table, . - hand_table

/* Calls: int hand_calls(int n) = (n + 1) + 0 + (n + 1) + (n + 1) + (n + 1) */
	.globl hand_calls
	.type hand_calls, %function
hand_calls:
	stp x29, x30, [sp, #-32]!
	mov x29, sp
	stp x19, x20, [sp, #16]
	mov w19, w0
	STATIC_CALL hand_call		/* call 1 */
	mov w20, w0
	mov w0, w19
	bl __SCT__hand_ret0		/* call 2 */
	add w20, w20, w0
	mov w0, w19
	bl __SCT__hand_null		/* call 3 */
	mov w0, w19
	bl __SCT__hand_near		/* call 4: the assembler resolves it, no relocation */
	add w20, w20, w0
	mov w0, w19
	bl __SCT__hand_far		/* call 5: to a local trampoline of another section */
	add w20, w20, w0
	mov w0, w19
	bl .Lhand_far			/* call 6: the same, by section symbol and offset */
	add w20, w20, w0
	ldr x1, .Lliteral		/* no: a literal behind the code */
	adrp x1, __SCT__hand_call	/* no: an address */
	add x1, x1, :lo12:__SCT__hand_call
	mov w0, w20
	ldp x19, x20, [sp, #16]
	ldp x29, x30, [sp], #32
	ret
.Lliteral:
	.xword 0x9400000094000000	/* no: would decode as bl */
	.word 0x97ffffff		/* no */
	.size hand_calls, . - hand_calls

	.globl hand_tails
	.type hand_tails, %function
hand_tails:
	cbz w0, 1f			/* no: not to a trampoline */
	tbz w0, #0, 2f
	STATIC_TAIL_CALL hand_call	/* tail 1 */
1:	b __SCT__hand_null		/* tail 2 */
2:	b.eq 3f
	b __SCT__hand_near		/* tail 3: the assembler resolves it */
3:	b .Lhand_far			/* tail 4: by section symbol and offset */
	.size hand_tails, . - hand_tails

/* A local trampoline of another section */
	.section .static_call.text, "ax", %progbits
	.balign 8
	.type __SCT__hand_far, %function
__SCT__hand_far:
.Lhand_far:
	TEXTPOKE_ARCH_TRAMPOLINE_JUMP hand_plain
	.size __SCT__hand_far, . - __SCT__hand_far
	.data
	.balign 8
	.type __SCK__hand_near, %object
	TEXTPOKE_ARCH_CALL_KEY hand_plain, __SCK__hand_near
	.size __SCK__hand_near, . - __SCK__hand_near
	.type __SCK__hand_far, %object
	TEXTPOKE_ARCH_CALL_KEY hand_plain, __SCK__hand_far
	.size __SCK__hand_far, . - __SCK__hand_far

/* Branches: int hand_branches(void), bits 0..3: one bit a branch found on */
	.text
	.globl hand_branches
	.type hand_branches, %function
hand_branches:
	mov w0, #0
	STATIC_JUMP_IF_TRUE 1f, hand_false, 0	/* branch 1: NOP */
2:	STATIC_JUMP_IF_TRUE 3f, hand_true, 1	/* branch 2: jump */
4:	STATIC_JUMP_IF_FALSE 5f, hand_true, 1	/* branch 3: NOP */
	orr w0, w0, #4
5:	STATIC_JUMP_IF_FALSE 6f, hand_false, 0	/* branch 4: jump */
	orr w0, w0, #8
6:	ret
1:	orr w0, w0, #1
	b 2b
3:	orr w0, w0, #2
	b 4b
	.size hand_branches, . - hand_branches

	.section .note.GNU-stack, "", %progbits
