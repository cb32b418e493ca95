/* Short jumps to a trampoline: two bytes cannot hold any of the patches. Not patchable, to be reported. */
#include "textpoke/static_call.h"

	.text
	.globl short_target
	.type short_target, @function
short_target:
	leal 1(%rdi), %eax
	ret
	.size short_target, . - short_target

	.type __SCT__short_call, @function
	.balign 8
__SCT__short_call:
	TEXTPOKE_ARCH_TRAMPOLINE_JUMP short_target
	.size __SCT__short_call, . - __SCT__short_call

	.globl short_tail
	.type short_tail, @function
short_tail:
	jmp __SCT__short_call		/* eb */
	.size short_tail, . - short_tail

	.globl short_conditional
	.type short_conditional, @function
short_conditional:
	testl %edi, %edi
	jne __SCT__short_call		/* 75 */
	xorl %eax, %eax
	ret
	.size short_conditional, . - short_conditional

	.data
	.type __SCK__short_call, @object
	TEXTPOKE_ARCH_CALL_KEY short_target, __SCK__short_call
	.size __SCK__short_call, . - __SCK__short_call
	.section .note.GNU-stack, "", @progbits
