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

/* int alt_cpus(void): 2 where several CPUs run, 1 on one */
	.globl alt_cpus
	.type alt_cpus, %function
#ifdef __thumb__
	.thumb_func
#endif
alt_cpus:
	nop
	ALT_SMP(W(mov) r0, #2)
	ALT_UP(W(mov) r0, #1)
	bx lr
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
