/* Hand-written assembly: everything a scanner may take for a site and is none, and sites compilers seldom
 * write. Each line that is a site says which; counts: 5 calls, 3 tails, 3 conditional tails, 4 branches,
 * 12 lock prefixes of which 1 is to be kept. */
#include "textpoke/lock.h"
#include "textpoke/static_call.h"
#include "textpoke/static_key.h"

	DEFINE_STATIC_KEY_TRUE hand_true
	DEFINE_STATIC_KEY_FALSE hand_false
	DEFINE_STATIC_CALL hand_call, hand_plain
	DEFINE_STATIC_CALL_NULL hand_null
	DEFINE_STATIC_CALL_RET0 hand_ret0

	.text
	.globl hand_plain, hand_other
	.type hand_plain, @function
hand_plain:
	leal 1(%rdi), %eax
	ret
	.size hand_plain, . - hand_plain
	.type hand_other, @function
hand_other:
	leal 2(%rdi), %eax
	ret
	.size hand_other, . - hand_other

/* Locks: int hand_locks(long *p) */
	.globl hand_locks
	.type hand_locks, @function
hand_locks:
	movl $0xf0f0f0f0, %eax		/* no: immediate */
	movabsq $0xf00ff0b10ff00ff0, %rax /* no: immediate */
	movq 0xf0(%rdi), %rcx		/* no: disp32 */
	movb $0xf0, -16(%rdi)		/* no: disp8 f0 and imm8 f0 */
	leaq (%rax,%rsi,8), %rdx	/* no: SIB */
	leaq -16(%rax,%rsi,8), %rdx	/* no: SIB f0 and disp8 f0 */
	movl %esi, %eax			/* no: ModRM f0 */
	pxor %xmm0, %xmm0
	psllw $0xf0, %xmm0		/* no: imm8 */
	vpsllw $0xf0, %xmm0, %xmm1	/* no: imm8 behind VEX, vvvv */
	vmovaps %xmm0, 0xf0(%rdi)	/* no: VEX, disp32 */
	vaddps 0xf0(%rdi), %zmm1, %zmm2	/* no: EVEX */
	.byte 0xf3, 0x0f, 0x1e, 0xf0	/* no: a NOP of the hint space with ModRM f0 */
	lock incl (%rdi)		/* lock 1 */
	lock cmpxchgq %rcx, (%rdi)	/* lock 2: f0 48 0f b1 */
	lock xaddw %cx, (%rdi)		/* lock 3: 66 f0 */
	.byte 0xf0, 0x66, 0x0f, 0xc1, 0x0f /* lock 4: f0 66, the other order */
	xacquire lock addl $1, (%rdi)	/* lock 5: f2 f0 */
	xrelease lock subl $1, (%rdi)	/* lock 6: f3 f0 */
	lock addl $0xf0, %fs:0xf0	/* lock 7: with a segment override, immediate f0, disp32 f0 */
	lock addl $1, (%edi)		/* lock 8: with 67 */
	lock btsq $0xf0, 0xf0(%r8)	/* lock 9: REX */
	lock cmpxchg16b (%rdi)		/* lock 10 */
	.byte 0x3e, 0xf0, 0xff, 0x07	/* lock 11: 3e f0, DS override of its own */
	TEXTPOKE_KEEP_LOCK
	lock xaddl %eax, (%rdi)		/* lock 12: keep */
	.byte 0x3e, 0xff, 0x07		/* no: incl %ds:(%rdi), what a dropped lock looks like */
	xchgl %eax, (%rdi)		/* no: locks without a prefix */
	ret
	.size hand_locks, . - hand_locks

/* Data inside code */
	.type hand_table, @object
hand_table:
	.byte 0xf0, 0x0f, 0xb1, 0x0f	/* no: would decode as lock cmpxchg */
	.byte 0xe8, 0xf0, 0xf0, 0xf0, 0xf0
	.long 0xf0ff07f0
	.byte 0x0f			/* no: swallows the next function's first bytes when decoded */
	.size hand_table, . - hand_table

/* Calls: int hand_calls(int n) */
	.globl hand_calls
	.type hand_calls, @function
hand_calls:
	pushq %rbx
	movl %edi, %ebx
	STATIC_CALL hand_call		/* call 1 */
	movl %ebx, %edi
	call __SCT__hand_ret0@PLT	/* call 2 */
	movl %ebx, %edi
	call __SCT__hand_null		/* call 3 */
	call __SCT__hand_near		/* call 4: the assembler resolves it, no relocation */
	call __SCT__hand_far		/* call 5: to a local trampoline of another section */
	leaq __SCT__hand_call(%rip), %rax /* no: an address */
	popq %rbx
	testl %edi, %edi
	jne __SCT__hand_call		/* conditional tail 1: 0f 85 */
	js __SCT__hand_null		/* conditional tail 2: 0f 88 */
	.byte 0x2e
	jo __SCT__hand_ret0		/* conditional tail 3: 2e 0f 80, behind a prefix */
	STATIC_TAIL_CALL hand_call	/* tail 1 */
	.size hand_calls, . - hand_calls

	.globl hand_tails
	.type hand_tails, @function
hand_tails:
	testl %edi, %edi
	je 1f
	jmp __SCT__hand_null		/* tail 2 */
1:	.byte 0xe9			/* tail 3: resolved by the assembler */
	.long __SCT__hand_near - (. + 4)
	.size hand_tails, . - hand_tails

/* A trampoline outside .static_call.text, in the section of its callers, and a local one in it */
	.type __SCT__hand_near, @function
	.balign 8
__SCT__hand_near:
	TEXTPOKE_ARCH_TRAMPOLINE_JUMP hand_plain
	.size __SCT__hand_near, . - __SCT__hand_near
	.section .static_call.text, "ax", @progbits
	.balign 8
	.type __SCT__hand_far, @function
__SCT__hand_far:
	TEXTPOKE_ARCH_TRAMPOLINE_JUMP hand_plain
	.size __SCT__hand_far, . - __SCT__hand_far
	.data
	.balign 8
	.type __SCK__hand_near, @object
	TEXTPOKE_ARCH_CALL_KEY hand_plain, __SCK__hand_near
	.size __SCK__hand_near, . - __SCK__hand_near
	.type __SCK__hand_far, @object
	TEXTPOKE_ARCH_CALL_KEY hand_plain, __SCK__hand_far
	.size __SCK__hand_far, . - __SCK__hand_far

/* Branches: int hand_branches(void), bits 0..3: one bit a branch found on */
	.text
	.globl hand_branches
	.type hand_branches, @function
hand_branches:
	xorl %eax, %eax
	STATIC_JUMP_IF_TRUE 1f, hand_false, 0	/* branch 1: NOP */
2:	STATIC_JUMP_IF_TRUE 3f, hand_true, 1	/* branch 2: jump */
4:	STATIC_JUMP_IF_FALSE 5f, hand_true, 1	/* branch 3: NOP */
	orl $4, %eax
5:	STATIC_JUMP_IF_FALSE 6f, hand_false, 0	/* branch 4: jump */
	orl $8, %eax
6:	ret
1:	orl $1, %eax
	jmp 2b
3:	orl $2, %eax
	jmp 4b
	.size hand_branches, . - hand_branches

	.section .note.GNU-stack, "", @progbits
