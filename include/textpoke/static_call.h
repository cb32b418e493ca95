/* SPDX-License-Identifier: MIT
 * Static calls with the kernel's names and semantics (Linux include/linux/static_call.h), for programs that
 * `textpoke annotate` is run over. C11 and C++17, gcc 12 and clang 14 or later.
 *
 *     int  plain(int);                       // some header
 *     DECLARE_STATIC_CALL(work, plain);
 *
 *     DEFINE_STATIC_CALL(work, plain);       // one source file
 *
 *     n = static_call(work)(n);              // anywhere
 *
 * static_call(work)(n) is a direct call of the trampoline __SCT__work, which jumps to plain(). A program that
 * was never annotated keeps going through the trampoline, and runs correctly. An annotated one has every such
 * call listed with its key __SCK__work, so that a runtime can write the function's own address into the call.
 * Nothing here changes a call at run time: `textpoke boot` replays that over the image.
 *
 * Definitions and declarations stand at file scope; in C++ at global scope (the symbols have C linkage, but
 * the names are found as any others).
 *
 * DECLARE_STATIC_CALL(name, func)         key and trampoline live in some unit of this program. `func` only
 *                                         lends its type: a function, or a function type.
 * DEFINE_STATIC_CALL(name, func)          the call goes to func at first: any function with one meaning
 *                                         (in C++ neither overloaded nor a template's instance); `static` is
 *                                         fine. A few bytes of never executed code remain: assembly at file
 *                                         scope cannot name a function that a compiler names anew, as C++
 *                                         and link-time optimisation do.
 * DEFINE_STATIC_CALL_NULL(name, func)     no function at first: use static_call_cond().
 * DECLARE_STATIC_CALL_NULL(name, type)    the same, with the type of a pointer to a function: void (*)(int).
 * DEFINE_STATIC_CALL_RET0(name, func)     returns 0 at first.
 * DEFINE_STATIC_CALL_LOCAL(name, func), _NULL_LOCAL, _RET0_LOCAL
 *                                         for this file only: local symbols, so two files may use one name.
 *                                         The kernel has no such form. Not with -flto, which makes one file of
 *                                         all, or cuts them anew.
 * static_call(name)(args)                 the function must not be NULL.
 * static_call_cond(name)(args)            does nothing when it is NULL; void functions only, as in the kernel.
 * static_call_mod(name)(args)             the same call, for code that sees only an exported trampoline.
 * static_call_query(name)                 the function called now, a void *.
 *
 * A function may be static, hidden, preemptible or in another shared object: the trampoline's jump takes a
 * PLT entry where it must. It must not be __attribute__((ifunc)) if it is to be patched in.
 *
 * BETWEEN SHARED OBJECTS. Key and trampoline are hidden: the tables are PC-relative, and no PC-relative field
 * can name a symbol that another shared object may preempt. For a call that other shared objects may use,
 * define TEXTPOKE_EXPORTED_CALLS before this header in *every* unit, on either side, that declares it (one
 * hidden mention hides the symbol for the whole link), and in the defining unit write, after the definition,
 *
 *     EXPORT_STATIC_CALL(name)            key and trampoline become protected: visible, not preemptible.
 *     EXPORT_STATIC_CALL_TRAMP(name)      only the trampoline does, and .static_call_tramp_key gets an entry
 *                                         that leads from it to the hidden key.
 *
 * What is defined but not exported stays hidden in that mode too. Tried with GNU ld 2.40 and lld 14: the
 * defining object's own PC-relative fields link against protected symbols with both. The importing object
 * calls the trampoline through its PLT; do not annotate its --static-call sites, since no PC-relative field
 * can reach the other object's key. Do not build such units with -fno-plt, whose indirect calls are no sites.
 * An importing executable that also reads the key (static_call_query) must go through its GOT for it: -fPIC
 * with gcc, -fPIE with clang; both linkers refuse a copy relocation of a protected object.
 *
 * IBT and BTI: a trampoline begins with neither endbr64 nor bti c. Direct branches need none; one whose address
 * is taken, or that a veneer or another shared object reaches, must not be used where they are enforced.
 *
 * With TEXTPOKE_NO_PATCHING (arch.h) there are no trampolines: static_call(name) is a call through the pointer in the key,
 * DECLARE_STATIC_CALL's trampoline stands for the type alone, and EXPORT_STATIC_CALL_TRAMP exports the key.
 *
 * In assembly (.S) the header gives STATIC_CALL, STATIC_TAIL_CALL and DEFINE_STATIC_CALL*; see the end.
 */
#ifndef TEXTPOKE_STATIC_CALL_H
#define TEXTPOKE_STATIC_CALL_H

#include "arch.h"

#if defined(TEXTPOKE_ARCH_UNFIT) && !defined(__ASSEMBLER__)
#error "textpoke: with -mcmodel=large all calls go through registers, and none is a site; use another model, or -DTEXTPOKE_NO_PATCHING"
#endif

#ifndef __ASSEMBLER__
#include "quiet.h"

#ifdef __cplusplus
#define TEXTPOKE_EXTERN extern "C"
#define TEXTPOKE_END static_assert(true, "")
#else
#define TEXTPOKE_EXTERN extern
#define TEXTPOKE_END __extension__ _Static_assert(1, "")
#endif

#ifdef TEXTPOKE_EXPORTED_CALLS
#define TEXTPOKE_CALL_VISIBILITY
#else
#define TEXTPOKE_CALL_VISIBILITY TEXTPOKE_HIDDEN
#endif

/* `type` is 1 until a runtime puts its list of sites there (kernel: "no sites known", bit 0), and 0 where there are none. */
struct static_call_key {
  void *func;
  __extension__ union {
    unsigned long type;
    void *mods;
    void *sites;
  };
};

#define STATIC_CALL_KEY(name) __SCK__##name
#define STATIC_CALL_TRAMP(name) __SCT__##name

/* The function a static call stands for when its result is to be 0 without a call. Each unit that needs it
 * defines it in a COMDAT group of its own; a link keeps one. */
TEXTPOKE_EXTERN long __static_call_return0(void) TEXTPOKE_HIDDEN;

#ifdef TEXTPOKE_NO_PATCHING
#define TEXTPOKE_DEFINE_RETURN0 TEXTPOKE_END
TEXTPOKE_EXTERN __attribute__((weak)) long __static_call_return0(void) { return 0; }
static inline void textpoke_call_nothing(void) {}
#else
#define TEXTPOKE_DEFINE_RETURN0                                                                              \
  __asm__(".ifndef __static_call_return0\n\t"                                                                \
          ".pushsection .text.__static_call_return0, \"axG\", %progbits, __static_call_return0, comdat\n\t"  \
          ".balign 16\n\t"                                                                                   \
          ".weak __static_call_return0\n\t"                                                                  \
          ".hidden __static_call_return0\n\t"                                                                \
          ".type __static_call_return0, %function\n\t" TEXTPOKE_ARCH_FUNCTION                               \
          "__static_call_return0:\n\t" TEXTPOKE_ARCH_RETURN0 "\n\t"                                          \
          ".size __static_call_return0, . - __static_call_return0\n\t"                                       \
          ".popsection\n\t"                                                                                  \
          ".endif")
#endif

#define DECLARE_STATIC_CALL(name, func)                                                                      \
  TEXTPOKE_EXTERN struct static_call_key STATIC_CALL_KEY(name) TEXTPOKE_CALL_VISIBILITY;                     \
  TEXTPOKE_EXTERN __typeof__(func) STATIC_CALL_TRAMP(name) TEXTPOKE_CALL_VISIBILITY

/* How a symbol is bound: global and hidden, or left local. The compiler only ever declares the trampoline;
 * where these directives leave it local, its references are to the local symbol. In the exported mode
 * visibility is the assembler's alone, the last directive counts, and only assembly at file scope keeps its
 * order: so TEXTPOKE_HIDE says it there, not with the trampoline, which C++ emits from inside a function. */
#if defined(TEXTPOKE_EXPORTED_CALLS) && defined(TEXTPOKE_NO_PATCHING)
#define TEXTPOKE_HIDE(name) __asm__(".hidden __SCK__" #name)
#elif defined(TEXTPOKE_EXPORTED_CALLS)
#define TEXTPOKE_HIDE(name) __asm__(".hidden __SCK__" #name "\n\t.hidden __SCT__" #name)
#define TEXTPOKE_GLOBAL_SYMBOL(symbol) ".globl " symbol "\n\t"
#else
#define TEXTPOKE_HIDE(name) TEXTPOKE_END
#define TEXTPOKE_GLOBAL_SYMBOL(symbol) ".globl " symbol "\n\t.hidden " symbol "\n\t"
#endif
#define TEXTPOKE_LOCAL_SYMBOL(symbol) ""

#ifdef TEXTPOKE_NO_PATCHING
#define TEXTPOKE_DEFINE_TRAMPOLINE(scope, name, body) TEXTPOKE_END
#define TEXTPOKE_DEFINE_TRAMPOLINE_TO(scope, name, func) TEXTPOKE_END
#define TEXTPOKE_CALL_TYPE 0
#else
#define TEXTPOKE_CALL_TYPE 1
#define TEXTPOKE_DEFINE_TRAMPOLINE(scope, name, body)                                                        \
  __asm__(TEXTPOKE_ARCH_TRAMPOLINE(scope("__SCT__" #name), "__SCT__" #name, "__SCK__" #name, body))

#ifndef TEXTPOKE_ARCH_TRAMPOLINE_THROUGH_KEY
/* An operand prints as the symbol that the function has in the end: mangled, or renamed by -flto, which also keeps the
 * function for its sake. "X" takes any function: "i" refuses one that may be preempted. */
#define TEXTPOKE_DEFINE_TRAMPOLINE_TO(scope, name, func)                                                     \
  __attribute__((used, noinline, cold)) static void textpoke_trampoline_##name(void) {                       \
    __asm__ __volatile__(                                                                                    \
        TEXTPOKE_ARCH_TRAMPOLINE(scope("__SCT__" #name), "__SCT__" #name, "__SCK__" #name,                   \
                                 TEXTPOKE_ARCH_TRAMPOLINE_JUMP(TEXTPOKE_ARCH_FUNCTION_OPERAND("0")))         \
        :                                                                                                    \
        : "X"(func));                                                                                        \
  }                                                                                                          \
  TEXTPOKE_END
#else
#define TEXTPOKE_DEFINE_TRAMPOLINE_TO(scope, name, func)                                                     \
  TEXTPOKE_DEFINE_TRAMPOLINE(scope, name, TEXTPOKE_ARCH_TRAMPOLINE_JUMP(#func))
#endif
#endif

#define TEXTPOKE_CALL_KEY_INIT(func)                                                                         \
  { __extension__(void *)(func), { TEXTPOKE_CALL_TYPE } }

/* `used`: nothing but tables names some keys, which are made behind the compiler's back. */
#define TEXTPOKE_GLOBAL_KEY(name, type, func)                                                                \
  DECLARE_STATIC_CALL(name, type);                                                                           \
  __attribute__((used)) struct static_call_key STATIC_CALL_KEY(name) = TEXTPOKE_CALL_KEY_INIT(func);         \
  TEXTPOKE_HIDE(name)

/* `local`: the assembler name keeps C++ from mangling it; the tool knows the key by its name. */
#define TEXTPOKE_LOCAL_KEY(name, type, func)                                                                 \
  TEXTPOKE_EXTERN __typeof__(type) STATIC_CALL_TRAMP(name) TEXTPOKE_HIDDEN;                                  \
  static struct static_call_key STATIC_CALL_KEY(name) __asm__("__SCK__" #name)                               \
      __attribute__((used)) = TEXTPOKE_CALL_KEY_INIT(func)

#define DEFINE_STATIC_CALL(name, func)                                                                       \
  TEXTPOKE_GLOBAL_KEY(name, func, func);                                                                     \
  TEXTPOKE_DEFINE_TRAMPOLINE_TO(TEXTPOKE_GLOBAL_SYMBOL, name, func)
#define DEFINE_STATIC_CALL_NULL(name, func)                                                                  \
  TEXTPOKE_GLOBAL_KEY(name, func, 0);                                                                        \
  TEXTPOKE_DEFINE_TRAMPOLINE(TEXTPOKE_GLOBAL_SYMBOL, name, TEXTPOKE_ARCH_TRAMPOLINE_RETURN)
#define DECLARE_STATIC_CALL_NULL(name, type) DEFINE_STATIC_CALL_NULL(name, __typeof__(*(type)0))
#define DEFINE_STATIC_CALL_RET0(name, func)                                                                  \
  TEXTPOKE_GLOBAL_KEY(name, func, __static_call_return0);                                                    \
  TEXTPOKE_DEFINE_RETURN0;                                                                                   \
  TEXTPOKE_DEFINE_TRAMPOLINE(TEXTPOKE_GLOBAL_SYMBOL, name,                                                   \
                             TEXTPOKE_ARCH_TRAMPOLINE_JUMP("__static_call_return0"))

#define DEFINE_STATIC_CALL_LOCAL(name, func)                                                                 \
  TEXTPOKE_LOCAL_KEY(name, func, func);                                                                      \
  TEXTPOKE_DEFINE_TRAMPOLINE_TO(TEXTPOKE_LOCAL_SYMBOL, name, func)
#define DEFINE_STATIC_CALL_NULL_LOCAL(name, func)                                                            \
  TEXTPOKE_LOCAL_KEY(name, func, 0);                                                                         \
  TEXTPOKE_DEFINE_TRAMPOLINE(TEXTPOKE_LOCAL_SYMBOL, name, TEXTPOKE_ARCH_TRAMPOLINE_RETURN)
#define DEFINE_STATIC_CALL_RET0_LOCAL(name, func)                                                            \
  TEXTPOKE_LOCAL_KEY(name, func, __static_call_return0);                                                     \
  TEXTPOKE_DEFINE_RETURN0;                                                                                   \
  TEXTPOKE_DEFINE_TRAMPOLINE(TEXTPOKE_LOCAL_SYMBOL, name,                                                    \
                             TEXTPOKE_ARCH_TRAMPOLINE_JUMP("__static_call_return0"))

#if defined(TEXTPOKE_EXPORTED_CALLS) && defined(TEXTPOKE_NO_PATCHING)
#define EXPORT_STATIC_CALL(name) __asm__(".protected __SCK__" #name)
#define EXPORT_STATIC_CALL_TRAMP(name) EXPORT_STATIC_CALL(name)
#elif defined(TEXTPOKE_EXPORTED_CALLS)
#define EXPORT_STATIC_CALL(name) __asm__(".protected __SCK__" #name "\n\t.protected __SCT__" #name)
#define EXPORT_STATIC_CALL_TRAMP(name)                                                                       \
  __asm__(".protected __SCT__" #name "\n\t"                                                                  \
          ".pushsection .static_call_tramp_key, \"a\", %progbits\n\t"                                        \
          ".balign 4\n\t"                                                                                    \
          ".long __SCT__" #name " - .\n\t"                                                                   \
          ".long __SCK__" #name " - .\n\t"                                                                   \
          ".popsection")
#else
#define EXPORT_STATIC_CALL(name) TEXTPOKE_NOT_EXPORTED
#define EXPORT_STATIC_CALL_TRAMP(name) TEXTPOKE_NOT_EXPORTED
#ifdef __cplusplus
#define TEXTPOKE_NOT_EXPORTED static_assert(false, "define TEXTPOKE_EXPORTED_CALLS before static_call.h")
#else
#define TEXTPOKE_NOT_EXPORTED _Static_assert(0, "define TEXTPOKE_EXPORTED_CALLS before static_call.h")
#endif
#endif
#define EXPORT_STATIC_CALL_GPL(name) EXPORT_STATIC_CALL(name)
#define EXPORT_STATIC_CALL_TRAMP_GPL(name) EXPORT_STATIC_CALL_TRAMP(name)

#ifdef TEXTPOKE_NO_PATCHING
#define TEXTPOKE_CALL_THROUGH(name, function) (__extension__(__typeof__(&STATIC_CALL_TRAMP(name)))(function))
#define static_call(name) TEXTPOKE_CALL_THROUGH(name, static_call_query(name))
#define static_call_cond(name)                                                                               \
  (void)TEXTPOKE_CALL_THROUGH(name, __extension__(static_call_query(name) ?: (void *)textpoke_call_nothing))
#else
#define static_call(name) (&STATIC_CALL_TRAMP(name))
#define static_call_cond(name) (void)(&STATIC_CALL_TRAMP(name))
#endif
#define static_call_mod(name) static_call(name)
#define static_call_query(name) (__atomic_load_n(&STATIC_CALL_KEY(name).func, __ATOMIC_RELAXED))

#else /* __ASSEMBLER__ */

/* STATIC_CALL name, STATIC_TAIL_CALL name: the two kinds of site. Arguments and clobbers are the function's. */
.macro STATIC_CALL name:req
	TEXTPOKE_ARCH_CALL __SCT__\name
.endm
.macro STATIC_TAIL_CALL name:req
	TEXTPOKE_ARCH_TAIL_CALL __SCT__\name
.endm

/* DEFINE_STATIC_CALL name, func / DEFINE_STATIC_CALL_NULL name / DEFINE_STATIC_CALL_RET0 name: a hidden global
 * key and its trampoline. */
.macro TEXTPOKE_DEFINE_CALL_KEY name:req, func:req
	.pushsection .data, "aw", TEXTPOKE_ARCH_PROGBITS
	.globl __SCK__\name
	.hidden __SCK__\name
	.type __SCK__\name, STT_OBJECT
	TEXTPOKE_ARCH_CALL_KEY \func, __SCK__\name
	.size __SCK__\name, . - __SCK__\name
	.popsection
.endm
.macro TEXTPOKE_BEGIN_TRAMPOLINE name:req
	.pushsection .static_call.text, "ax", TEXTPOKE_ARCH_PROGBITS
	.balign 8
	.globl __SCT__\name
	.hidden __SCT__\name
	.type __SCT__\name, STT_FUNC
	TEXTPOKE_ARCH_FUNCTION
__SCT__\name:
.endm
.macro TEXTPOKE_END_TRAMPOLINE name:req
	.size __SCT__\name, . - __SCT__\name
	.popsection
	/* once more, and empty: see TEXTPOKE_ARCH_FORGET_CODE in arch/aarch64.h */
	.pushsection .static_call.text, "ax", TEXTPOKE_ARCH_PROGBITS
	.popsection
.endm
.macro DEFINE_STATIC_CALL name:req, func:req
	TEXTPOKE_DEFINE_CALL_KEY \name, \func
	TEXTPOKE_BEGIN_TRAMPOLINE \name
	TEXTPOKE_ARCH_TRAMPOLINE_JUMP \func, __SCK__\name
	TEXTPOKE_END_TRAMPOLINE \name
.endm
.macro DEFINE_STATIC_CALL_NULL name:req
	TEXTPOKE_DEFINE_CALL_KEY \name, 0
	TEXTPOKE_BEGIN_TRAMPOLINE \name
	TEXTPOKE_ARCH_TRAMPOLINE_RETURN __SCK__\name
	TEXTPOKE_END_TRAMPOLINE \name
.endm
.macro DEFINE_STATIC_CALL_RET0 name:req
	.ifndef __static_call_return0
	.pushsection .text.__static_call_return0, "axG", TEXTPOKE_ARCH_PROGBITS, __static_call_return0, comdat
	.balign 16
	.weak __static_call_return0
	.hidden __static_call_return0
	.type __static_call_return0, STT_FUNC
	TEXTPOKE_ARCH_FUNCTION
__static_call_return0:
	TEXTPOKE_ARCH_RETURN0
	.size __static_call_return0, . - __static_call_return0
	.popsection
	.endif
	DEFINE_STATIC_CALL \name, __static_call_return0
.endm

#endif
#endif
