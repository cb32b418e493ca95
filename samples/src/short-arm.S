/* Thumb branches to a trampoline that cannot hold what patching writes: too short, or with a condition of their own.
 * Not patchable, to be reported. */
#include "textpoke/static_call.h"

	.text
	.thumb
	.set TEXTPOKE_THUMB, 1
	.globl short_target
	.thumb_func
	.type short_target, %function
short_target:
	adds r0, r0, #1
	bx lr
	.size short_target, . - short_target

	.balign 8
	.type __SCT__short_call, %function
	.thumb_func
__SCT__short_call:
	TEXTPOKE_ARCH_TRAMPOLINE_JUMP short_target, __SCK__short_call
	.size __SCT__short_call, . - __SCT__short_call

	.globl short_conditional
	.thumb_func
	.type short_conditional, %function
short_conditional:
	cmp r0, #0
	bne.w __SCT__short_call
	b.n .Lnear
	cbz r0, .Lnear
.Lnear:	b.n __SCT__short_call
	.size short_conditional, . - short_conditional

	.data
	.type __SCK__short_call, %object
	TEXTPOKE_ARCH_CALL_KEY short_target, __SCK__short_call
	.size __SCK__short_call, . - __SCK__short_call
	.section .note.GNU-stack, "", %progbits
