/* Sites for one CPU as the ARM kernel writes them: an instruction for several CPUs at the site, the one for one CPU
 * in .alt.smp.init (arch/arm/include/asm/assembler.h, ALT_SMP and ALT_UP). With ABSOLUTE as before Linux 5.11. */
	.syntax unified
#ifdef __thumb__
#define W(instruction) instruction.w
	.thumb
#else
#define W(instruction) instruction
	.arm
#endif
#ifdef ABSOLUTE
#define SITE 9998b
#else
#define SITE 9998b - .
#endif

#define ALT_SMP(...) 9998: __VA_ARGS__
#define ALT_UP(...)                                                                                          \
	.pushsection .alt.smp.init, "a"; .balign 4; .long SITE; __VA_ARGS__; .popsection

	.text
	.globl alt_barrier
	.type alt_barrier, %function
#ifdef __thumb__
	.thumb_func
#endif
alt_barrier:
	ALT_SMP(dmb ish)
	ALT_UP(W(nop))
	bx lr
	.size alt_barrier, . - alt_barrier

/* As smp_on_up of arch/arm/kernel/head.S. */
	.pushsection .data
	.balign 4
alt_on_up:
	ALT_SMP(.long 1)
	ALT_UP(.long 0)
	.popsection

/* int alt_cpus(void): 4 where several CPUs run, 1 on one */
	.globl alt_cpus
	.type alt_cpus, %function
#ifdef __thumb__
	.thumb_func
#endif
alt_cpus:
	nop
	ALT_SMP(W(mov) r0, #2)
	ALT_UP(W(mov) r0, #1)
	ldr r1, =alt_on_up
	ldr r1, [r1]
	ldr r2, alt_word
	add r0, r0, r1
	add r0, r0, r2
	bx lr
	.ltorg
	.balign 4
alt_word:				/* as the tables of arch/arm/mm/proc-v7.S */
	ALT_SMP(.long 1)
	ALT_UP(.long 0)
	.size alt_cpus, . - alt_cpus

	.globl _start
	.type _start, %function
#ifdef __thumb__
	.thumb_func
#endif
_start:
	bl alt_barrier
	bl alt_cpus
	mov r7, #1
	svc #0				/* exit(alt_cpus()) */
	.size _start, . - _start
	.section .note.GNU-stack, "", %progbits
