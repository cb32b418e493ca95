/* Conditional branches to a trampoline: none of them can hold bl's reach. Not patchable, to be reported. */
#include "textpoke/static_call.h"

	.text
	.globl short_target
	.type short_target, %function
short_target:
	add w0, w0, #1
	ret
	.size short_target, . - short_target

	.type __SCT__short_call, %function
	.balign 8
__SCT__short_call:
	TEXTPOKE_ARCH_TRAMPOLINE_JUMP short_target
	.size __SCT__short_call, . - __SCT__short_call

	.globl short_conditional
	.type short_conditional, %function
short_conditional:
	cmp w0, #0
	b.ne __SCT__short_call		/* resolved by the assembler */
	cbz w0, __SCT__short_call
	tbnz w0, #3, __SCT__short_call
	ret
	.size short_conditional, . - short_conditional

	.data
	.type __SCK__short_call, %object
	TEXTPOKE_ARCH_CALL_KEY short_target, __SCK__short_call
	.size __SCK__short_call, . - __SCK__short_call
	.section .note.GNU-stack, "", %progbits
