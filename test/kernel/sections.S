/* Calls in every kind of code section that kernels have. All are sites but the one in .altinstr_replacement, which is
 * copied over other code before it runs. */
	.text
	.weak weak_function
	.type weak_function, @function
weak_function:
	call __SCT__one
	call __SCT__two
	ret
	.size weak_function, . - weak_function
	.globl other_name
	.set other_name, weak_function

	.section .init.text, "ax", @progbits
	.type init_function, @function
init_function:
	jmp __SCT__one
	.size init_function, . - init_function

	.section .noinstr.text, "ax", @progbits
	.type noinstr_function, @function
noinstr_function:
	call __SCT__one
	ret
	.size noinstr_function, . - noinstr_function

	.section .text.unlikely, "ax", @progbits
unlikely_part:
	call __SCT__two
	ret

	.section .discard.text, "ax", @progbits
	call __SCT__one
	ret

	.section .altinstr_replacement, "ax", @progbits
	call __SCT__two

	.section .discard.addressable, "aw"
	.quad __SCK__one
	.quad __SCK__two
	.section .note.GNU-stack, "", @progbits
