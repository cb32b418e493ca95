/* Hand-written assembly in both states: everything a scanner may take for a site and is none, and sites compilers
 * seldom write. Each line that is a site says which; counts: 18 calls, 9 tails, 8 branches. */
#include "textpoke/static_call.h"
#include "textpoke/static_key.h"

	DEFINE_STATIC_KEY_TRUE hand_true
	DEFINE_STATIC_KEY_FALSE hand_false
	DEFINE_STATIC_CALL hand_call, hand_plain
	DEFINE_STATIC_CALL_NULL hand_null
	DEFINE_STATIC_CALL_RET0 hand_ret0

/* Functions of both states: hand_plain and hand_other are A32, hand_plain_thumb is Thumb. */
	.text
	.arm
	.set TEXTPOKE_THUMB, 0
	.globl hand_plain, hand_other, hand_plain_thumb
	.type hand_plain, %function
hand_plain:
	add r0, r0, #1
	bx lr
	.size hand_plain, . - hand_plain
	.type hand_other, %function
hand_other:
	add r0, r0, #2
	bx lr
	.size hand_other, . - hand_other

/* Trampolines outside .static_call.text, one in each state */
	.type __SCT__hand_near, %function
	.balign 8
__SCT__hand_near:
	TEXTPOKE_ARCH_TRAMPOLINE_JUMP hand_plain, __SCK__hand_near
	.size __SCT__hand_near, . - __SCT__hand_near
	.thumb
	.set TEXTPOKE_THUMB, 1
	.thumb_func
	.type hand_plain_thumb, %function
hand_plain_thumb:
	adds r0, r0, #1
	bx lr
	.size hand_plain_thumb, . - hand_plain_thumb
	.type __SCT__hand_thumb, %function
	.balign 8
	.thumb_func
__SCT__hand_thumb:
	TEXTPOKE_ARCH_TRAMPOLINE_JUMP hand_plain_thumb, __SCK__hand_thumb
	.size __SCT__hand_thumb, . - __SCT__hand_thumb

/* int hand_calls_arm(int n) = (n + 1) + 0 + (n + 1) + (n + 1) + (n + 1) + (n == 10 ? n + 1 : 0), and the same in
 * Thumb. */
	.arm
	.set TEXTPOKE_THUMB, 0
/* Data inside code: words that read as bl and b to a trampoline of this section */
	.balign 4
	.type hand_table, %object
hand_table:
	.word 0xebfffff0		/* no: data */
	.word 0xeaffffef		/* no: data */
	.word hand_plain
	.size hand_table, . - hand_table

	.globl hand_calls_arm
	.type hand_calls_arm, %function
hand_calls_arm:
	push {r4, r5, r6, lr}
	mov r4, r0
	STATIC_CALL hand_call		/* call 1 */
	mov r5, r0
	mov r0, r4
	bl __SCT__hand_ret0		/* call 2 */
	add r5, r5, r0
	mov r0, r4
	bl __SCT__hand_null		/* call 3 */
	mov r0, r4
	bl __SCT__hand_near		/* call 4: within the section */
	add r5, r5, r0
	mov r0, r4
	bl __SCT__hand_thumb		/* call 5: to the other state, blx */
	add r5, r5, r0
	mov r0, r4
	bl __SCT__hand_far		/* call 6: to a local trampoline of another section */
	add r5, r5, r0
	mov r0, r4
	blx __SCT__hand_thumb		/* call 7: written as what it is */
	mov r0, r4
	cmp r0, #10
	movne r0, #0
	bleq __SCT__hand_call		/* call 8: on a condition */
	add r5, r5, r0
	ldr r1, .Lliteral_arm		/* no: a literal behind the code */
	movw r1, #:lower16:__SCT__hand_call	/* no: an address */
	movt r1, #:upper16:__SCT__hand_call
	mov r0, r5
	pop {r4, r5, r6, pc}
.Lliteral_arm:
	.word 0xebfffffe		/* no: would decode as bl */
	.word __SCT__hand_call		/* no: an address */
	.size hand_calls_arm, . - hand_calls_arm

	.globl hand_tails_arm
	.type hand_tails_arm, %function
hand_tails_arm:
	cmp r0, #0
	beq 1f				/* no: not to a trampoline */
	bmi __SCT__hand_near		/* tail 1: on a condition */
	STATIC_TAIL_CALL hand_call	/* tail 2 */
1:	b __SCT__hand_null		/* tail 3 */
2:	b __SCT__hand_near		/* tail 4: within the section */
3:	b __SCT__hand_far		/* tail 5 */
	.size hand_tails_arm, . - hand_tails_arm

	.thumb
	.set TEXTPOKE_THUMB, 1
	.globl hand_calls_thumb
	.thumb_func
	.type hand_calls_thumb, %function
hand_calls_thumb:
	push {r4, r5, r6, lr}
	mov r4, r0
	STATIC_CALL hand_call		/* call 9 */
	mov r5, r0
	mov r0, r4
	bl __SCT__hand_ret0		/* call 10 */
	add r5, r5, r0
	mov r0, r4
	bl __SCT__hand_null		/* call 11 */
	mov r0, r4
	bl __SCT__hand_near		/* call 12: to the other state, blx */
	add r5, r5, r0
	mov r0, r4
	bl __SCT__hand_thumb		/* call 13: within the section */
	adds r5, r5, r0			/* 2 bytes: what follows straddles a word, or does not */
	mov r0, r4
	bl __SCT__hand_far		/* call 14 */
	adds r5, r5, r0
	mov r0, r4
	blx __SCT__hand_near		/* call 15: written as what it is */
	nop
	bl __SCT__hand_call		/* call 16 */
	nop
	nop
	bl __SCT__hand_call		/* call 17 */
	mov r0, r4
	cmp r0, #10
	ite ne
	movne r0, #0
	bleq __SCT__hand_call		/* call 18: in an IT block */
	add r5, r5, r0
	ldr r1, .Lliteral_thumb		/* no */
	movw r1, #:lower16:__SCT__hand_call	/* no */
	movt r1, #:upper16:__SCT__hand_call
	mov r0, r5
	pop {r4, r5, r6, pc}
	.balign 4
.Lliteral_thumb:
	.word 0xf800f000		/* no: would decode as bl */
	.word 0xfffef7ff		/* no */
	.size hand_calls_thumb, . - hand_calls_thumb

	.globl hand_tails_thumb
	.thumb_func
	.type hand_tails_thumb, %function
hand_tails_thumb:
	cbz r0, 1f			/* no: not to a trampoline */
	cmp r0, #1
	it mi
	bmi.w __SCT__hand_thumb		/* tail 6: in an IT block */
	STATIC_TAIL_CALL hand_call	/* tail 7 */
	nop
1:	b.w __SCT__hand_null		/* tail 8 */
2:	b.w __SCT__hand_thumb		/* tail 9: within the section */
	.size hand_tails_thumb, . - hand_tails_thumb

/* A local trampoline of another section */
	.arm
	.set TEXTPOKE_THUMB, 0
	.section .static_call.text, "ax", %progbits
	.arm
	.balign 8
	.type __SCT__hand_far, %function
__SCT__hand_far:
	TEXTPOKE_ARCH_TRAMPOLINE_JUMP hand_plain, __SCK__hand_far
	.size __SCT__hand_far, . - __SCT__hand_far
	.data
	.macro HAND_KEY name:req, func:req
	.balign 4
	.type __SCK__\name, %object
	TEXTPOKE_ARCH_CALL_KEY \func, __SCK__\name
	.size __SCK__\name, . - __SCK__\name
	.endm
	HAND_KEY hand_near, hand_plain
	HAND_KEY hand_thumb, hand_plain_thumb
	HAND_KEY hand_far, hand_plain

/* Branches: int hand_branches_arm(void) and _thumb, bits 0..3: one bit a branch found on */
	.macro HAND_BRANCHES
	mov r0, #0
	STATIC_JUMP_IF_TRUE 1f, hand_false, 0	/* branch 1, 5: NOP */
2:	STATIC_JUMP_IF_TRUE 3f, hand_true, 1	/* branch 2, 6: jump */
4:	STATIC_JUMP_IF_FALSE 5f, hand_true, 1	/* branch 3, 7: NOP */
	orr r0, r0, #4
5:	STATIC_JUMP_IF_FALSE 6f, hand_false, 0	/* branch 4, 8: jump */
	orr r0, r0, #8
6:	bx lr
1:	orr r0, r0, #1
	b 2b
3:	orr r0, r0, #2
	b 4b
	.endm
	.text
	.arm
	.set TEXTPOKE_THUMB, 0
	.balign 4
	.globl hand_branches_arm
	.type hand_branches_arm, %function
hand_branches_arm:
	HAND_BRANCHES
	.size hand_branches_arm, . - hand_branches_arm
	.thumb
	.set TEXTPOKE_THUMB, 1
	.globl hand_branches_thumb
	.thumb_func
	.type hand_branches_thumb, %function
hand_branches_thumb:
	HAND_BRANCHES
	.size hand_branches_thumb, . - hand_branches_thumb

	.section .note.GNU-stack, "", %progbits
