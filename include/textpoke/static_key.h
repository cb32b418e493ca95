/* SPDX-License-Identifier: MIT
 * Static keys and static branches with the kernel's names and semantics (Linux include/linux/jump_label.h),
 * for programs that `textpoke annotate` is run over. C11 and C++17, gcc 12 and clang 14 or later.
 *
 *     DEFINE_STATIC_KEY_FALSE(tracing);
 *     ...
 *     if (static_branch_unlikely(&tracing))
 *       trace();
 *
 * compiles to one NOP of full width, and to a jump over to trace() once the key is on. Until a tool patches
 * it, a site holds the instruction that is right for the key's *initial* value, so that a program which was
 * never annotated runs correctly. Nothing here changes a key at run time: that is the patching runtime's
 * work, which `textpoke boot` replays over the image.
 *
 * A site carries its own description, as two relocations that do nothing to any linker:
 *     S+0                          R_*_NONE  the label that a jump at S would go to
 *     S+2 (unlikely), S+3 (likely) R_*_NONE  the key (plus an offset, for an element or a member)
 * On 32-bit ARM relocations have no addend: there the offset is lost, and the key's whole address stands beside the
 * site's in .textpoke.keys, which no final link keeps (arch/arm.h).
 *
 * WHICH KEYS A BRANCH MAY NAME. The argument must be an address that is constant at link time, for the
 * compiler at every optimisation level, -O0 included:
 *
 *     &key            DEFINE_ or DECLARE_STATIC_KEY_*             any flags
 *     &key            static DEFINE_STATIC_KEY_*, at file scope   any flags. In C++ also `inline` and
 *                     or in a function                            `static inline` members. Inside an inline
 *                                                                 function or a template of C++: -fno-pie,
 *                                                                 -fPIE or -fvisibility=hidden, because with
 *                                                                 -fPIC alone such a key can be preempted; and
 *                                                                 g++ 12 forgets a template's section
 *                                                                 attribute, so its false keys land in .bss
 *     &array[2]       DEFINE_ or DECLARE_STATIC_KEY_ARRAY_*       any flags; the index must be a constant
 *     &object.key     a member of an object of static storage     any flags when the object is `static` or
 *                     duration                                    hidden (TEXTPOKE_HIDDEN behind its
 *                                                                 declarator, or -fvisibility=hidden for the
 *                                                                 unit that defines it). A plain global
 *                                                                 object: not with -fPIC (clang takes it when
 *                                                                 the key is not the first member, but no
 *                                                                 linker takes the annotated object)
 *
 *     gcc for 32-bit ARM also needs -fno-section-anchors beside -fPIE or -fPIC (see arch/arm.h).
 *
 *     &pointer->key, &array[i], a function's parameter            never: "impossible constraint" (gcc),
 *                                                                 "invalid operand" (clang)
 *
 * Global keys are hidden: the tables are PC-relative, and no PC-relative field can name a symbol that
 * another shared object may preempt. So a key cannot be shared between shared objects.
 *
 * Keys always stand in initialised data, even those that are all zero, in a section of their own
 * (.data.static_key.NAME, which every default linker script merges into .data): a tool can then store their
 * state in a file, which .bss has no room for. An object that contains a key wants TEXTPOKE_KEY_DATA(name).
 *
 * In assembly (.S) the header gives DEFINE_STATIC_KEY_TRUE/FALSE and STATIC_JUMP_IF_TRUE/FALSE; see the end.
 */
#ifndef TEXTPOKE_STATIC_KEY_H
#define TEXTPOKE_STATIC_KEY_H

#include "arch.h"

#if defined(TEXTPOKE_ARCH_UNFIT) && !defined(__ASSEMBLER__) && !defined(__clang__)
#error "textpoke: with -mcmodel=large gcc loads the address of a key into a register; use another model, or -DTEXTPOKE_NO_PATCHING"
#endif

#ifndef __ASSEMBLER__
#include "quiet.h"

#ifdef __cplusplus
extern "C" {
#endif

/* 16 bytes, 8 where a word has 32 bits. `type` bit 0 is the initial value; a runtime replaces `type` by its own pointer with that
 * bit kept, and counts in `enabled` (-1 while the first increment patches). */
struct static_key {
  int enabled;
  __extension__ union {
    unsigned long type;
    void *entries;
    void *next;
  };
};

#define JUMP_TYPE_FALSE 0UL
#define JUMP_TYPE_TRUE 1UL
#define JUMP_TYPE_LINKED 2UL /* a runtime's list is in `type` */
#define JUMP_TYPE_MASK 3UL

#define STATIC_KEY_INIT_TRUE                                                                                 \
  { 1, { JUMP_TYPE_TRUE } }
#define STATIC_KEY_INIT_FALSE                                                                                \
  { 0, { JUMP_TYPE_FALSE } }
#define STATIC_KEY_INIT STATIC_KEY_INIT_FALSE

/* The type of a key is its initial value, so that every unit that sees the declaration knows it. */
#ifdef __cplusplus
struct static_key_true {
  struct static_key key = STATIC_KEY_INIT_TRUE;
};
struct static_key_false {
  struct static_key key = STATIC_KEY_INIT_FALSE;
};
#else
struct static_key_true {
  struct static_key key;
};
struct static_key_false {
  struct static_key key;
};
#endif

#define STATIC_KEY_TRUE_INIT                                                                                 \
  { STATIC_KEY_INIT_TRUE }
#define STATIC_KEY_FALSE_INIT                                                                                \
  { STATIC_KEY_INIT_FALSE }

/* The initial value comes last because it may hold commas. `static` may stand before. */
#define TEXTPOKE_DEFINE_KEY(tag, name, dimension, ...)                                                       \
  TEXTPOKE_HIDDEN_DATA(struct tag, name, dimension) = __VA_ARGS__;                                           \
  TEXTPOKE_END_OF_HIDDEN_DATA

#define DEFINE_STATIC_KEY_TRUE(name) TEXTPOKE_DEFINE_KEY(static_key_true, name, , STATIC_KEY_TRUE_INIT)
#define DEFINE_STATIC_KEY_FALSE(name) TEXTPOKE_DEFINE_KEY(static_key_false, name, , STATIC_KEY_FALSE_INIT)
#define DECLARE_STATIC_KEY_TRUE(name) extern struct static_key_true name TEXTPOKE_HIDDEN
#define DECLARE_STATIC_KEY_FALSE(name) extern struct static_key_false name TEXTPOKE_HIDDEN

#ifdef __cplusplus
#define DEFINE_STATIC_KEY_ARRAY_TRUE(name, count) TEXTPOKE_DEFINE_KEY(static_key_true, name, [count], {})
#define DEFINE_STATIC_KEY_ARRAY_FALSE(name, count) TEXTPOKE_DEFINE_KEY(static_key_false, name, [count], {})
#else
#define DEFINE_STATIC_KEY_ARRAY_TRUE(name, count)                                                            \
  TEXTPOKE_DEFINE_KEY(static_key_true, name, [count], TEXTPOKE_EVERY_ELEMENT(count, STATIC_KEY_TRUE_INIT))
#define DEFINE_STATIC_KEY_ARRAY_FALSE(name, count)                                                           \
  TEXTPOKE_DEFINE_KEY(static_key_false, name, [count], TEXTPOKE_EVERY_ELEMENT(count, STATIC_KEY_FALSE_INIT))
#endif
#define DECLARE_STATIC_KEY_ARRAY_TRUE(name, count) extern struct static_key_true name[count] TEXTPOKE_HIDDEN
#define DECLARE_STATIC_KEY_ARRAY_FALSE(name, count) extern struct static_key_false name[count] TEXTPOKE_HIDDEN

/* The kernel seals these after init. A program has no such moment, so they are ordinary keys. */
#define DEFINE_STATIC_KEY_TRUE_RO(name) DEFINE_STATIC_KEY_TRUE(name)
#define DEFINE_STATIC_KEY_FALSE_RO(name) DEFINE_STATIC_KEY_FALSE(name)

#define jump_label_enabled(x) static_key_enabled(x)

/* How often the key is on: `enabled`, and 1 while the first increment patches. Takes a struct static_key *. */
static inline int static_key_count(const struct static_key *key) {
  int count = __atomic_load_n(&key->enabled, __ATOMIC_RELAXED);
  return count >= 0 ? count : 1;
}

#ifdef __cplusplus
}

extern "C++" {
namespace textpoke_detail {
template <class Key> struct key_type {
  static constexpr bool known = false;
  static constexpr bool initial = false;
};
template <class Key> struct key_type<const Key> : key_type<Key> {};
template <> struct key_type<static_key_true> {
  static constexpr bool known = true;
  static constexpr bool initial = true;
};
template <> struct key_type<static_key_false> {
  static constexpr bool known = true;
  static constexpr bool initial = false;
};
template <class Key> struct is_plain_key {
  static constexpr bool value = false;
};
template <> struct is_plain_key<static_key> {
  static constexpr bool value = true;
};
inline const struct static_key *key_of(const struct static_key *key) { return key; }
inline const struct static_key *key_of(const struct static_key_true *key) { return &key->key; }
inline const struct static_key *key_of(const struct static_key_false *key) { return &key->key; }
} // namespace textpoke_detail
}
#define TEXTPOKE_IS_KEY(x) (::textpoke_detail::key_type<__typeof__(*(x))>::known)
#define TEXTPOKE_IS_PLAIN_KEY(x) (::textpoke_detail::is_plain_key<__typeof__(*(x))>::value)
#define TEXTPOKE_KEY_INITIAL(x) (::textpoke_detail::key_type<__typeof__(*(x))>::initial)
#define TEXTPOKE_STATIC_ASSERT static_assert

/* Whether the key is on now, read from its count. Takes a pointer to any of the three key types. */
#define static_key_enabled(x) (static_key_count(::textpoke_detail::key_of(x)) > 0)
#else
#define TEXTPOKE_IS_KEY(x)                                                                                   \
  (__builtin_types_compatible_p(__typeof__(*(x)), struct static_key_true) ||                                 \
   __builtin_types_compatible_p(__typeof__(*(x)), struct static_key_false))
#define TEXTPOKE_IS_PLAIN_KEY(x) __builtin_types_compatible_p(__typeof__(*(x)), struct static_key)
#define TEXTPOKE_KEY_INITIAL(x) __builtin_types_compatible_p(__typeof__(*(x)), struct static_key_true)
#define TEXTPOKE_STATIC_ASSERT _Static_assert

/* Whether the key is on now, read from its count. Takes a pointer to any of the three key types. */
#define static_key_enabled(x)                                                                                \
  (static_key_count(_Generic((x),                                                                            \
                    struct static_key *: (const struct static_key *)(x),                                     \
                    const struct static_key *: (const struct static_key *)(x),                               \
                    struct static_key_true *: (const struct static_key *)(x),                                \
                    const struct static_key_true *: (const struct static_key *)(x),                          \
                    struct static_key_false *: (const struct static_key *)(x),                               \
                    const struct static_key_false *: (const struct static_key *)(x))) > 0)
#endif

/* One site; its value is whether it jumped. instruction = NOP when `initial XOR branch` is 0, else jump, and the
 * jump leads to the body of an unlikely branch, or past the body of a likely one (linux/jump_label.h):
 *
 *                 likely (1)                        unlikely (0)
 *     true key    NOP, falls into the body          jump to the body
 *     false key   jump past the body                NOP, falls past the body
 */
#ifdef TEXTPOKE_NO_PATCHING
/* No site: what one would do. */
#define TEXTPOKE_SITE(is_key, message, key, jump, branch)                                                    \
  __extension__({                                                                                            \
    TEXTPOKE_STATIC_ASSERT(is_key, message);                                                                 \
    (static_key_count(key) > 0) != (branch);                                                                 \
  })
#elif defined(__cplusplus) && defined(__clang__)
/* In a function of its own: clang 14 lets no `asm goto` stand where a label of another one is in a scope that nothing may
 * jump into (a try block, a loop with a variable of its own), and no clang lets one stand in a coroutine. */
#define TEXTPOKE_SITE(is_key, message, key, jump, branch)                                                    \
  __extension__({                                                                                            \
    TEXTPOKE_STATIC_ASSERT(is_key, message);                                                                 \
    struct textpoke_site {                                                                                   \
      static inline __attribute__((always_inline)) int jumps() {                                             \
        TEXTPOKE_ARCH_BRANCH(key, jump, branch, textpoke_yes);                                               \
        return 0;                                                                                            \
      textpoke_yes:                                                                                          \
        return 1;                                                                                            \
      }                                                                                                      \
    };                                                                                                       \
    textpoke_site::jumps();                                                                                  \
  })
#else
#define TEXTPOKE_SITE(is_key, message, key, jump, branch)                                                    \
  __extension__({                                                                                            \
    __label__ textpoke_yes, textpoke_end;                                                                    \
    int textpoke_jumped;                                                                                    \
    TEXTPOKE_STATIC_ASSERT(is_key, message);                                                                 \
    TEXTPOKE_ARCH_BRANCH(key, jump, branch, textpoke_yes);                                                   \
    textpoke_jumped = 0;                                                                                     \
    goto textpoke_end;                                                                                       \
  textpoke_yes:                                                                                              \
    textpoke_jumped = 1;                                                                                     \
  textpoke_end:                                                                                              \
    textpoke_jumped;                                                                                         \
  })
#endif

#define TEXTPOKE_BRANCH(x, branch)                                                                           \
  TEXTPOKE_SITE(TEXTPOKE_IS_KEY(x),                                                                          \
                "a static branch takes the address of a struct static_key_true or static_key_false",         \
                &(x)->key, TEXTPOKE_KEY_INITIAL(x) != (branch), (branch))

/* True while the key is on. `x`: pointer to struct static_key_true or static_key_false, constant at link time
 * (see above). Likely lays the code out for the body being run, unlikely for the body being out of line. */
#define static_branch_likely(x) (__builtin_expect(!TEXTPOKE_BRANCH(x, 1), 1) != 0)
#define static_branch_unlikely(x) (__builtin_expect(TEXTPOKE_BRANCH(x, 0), 0) != 0)

/* The kernel's older names, for a struct static_key that begins as STATIC_KEY_INIT_FALSE (the body is out of line) or
 * STATIC_KEY_INIT_TRUE (the body runs). */
#define TEXTPOKE_OLD_KEY "static_key_false and static_key_true take the address of a struct static_key"
#define static_key_false(x)                                                                                  \
  (__builtin_expect(TEXTPOKE_SITE(TEXTPOKE_IS_PLAIN_KEY(x), TEXTPOKE_OLD_KEY, (x), 0, 0), 0) != 0)
#define static_key_true(x)                                                                                   \
  (__builtin_expect(!TEXTPOKE_SITE(TEXTPOKE_IS_PLAIN_KEY(x), TEXTPOKE_OLD_KEY, (x), 0, 1), 1) != 0)

/* A key and a branch that follow an option, which is defined as 1 or not at all (include/linux/kconfig.h). */
#define TEXTPOKE_ARGUMENT_1 0,
#define TEXTPOKE_SECOND(first, second, ...) second
#define TEXTPOKE_IS_DEFINED__(argument_or_junk) TEXTPOKE_SECOND(argument_or_junk 1, 0, 0)
#define TEXTPOKE_IS_DEFINED_(value) TEXTPOKE_IS_DEFINED__(TEXTPOKE_ARGUMENT_##value)
#define TEXTPOKE_IS_DEFINED(option) TEXTPOKE_IS_DEFINED_(option)
#define TEXTPOKE_JOIN_(a, b) a##b
#define TEXTPOKE_JOIN(a, b) TEXTPOKE_JOIN_(a, b)
#define TEXTPOKE_STATE_0 FALSE
#define TEXTPOKE_STATE_1 TRUE
#define TEXTPOKE_STATE(option) TEXTPOKE_JOIN(TEXTPOKE_STATE_, TEXTPOKE_IS_DEFINED(option))
#define TEXTPOKE_LAYOUT_0 unlikely
#define TEXTPOKE_LAYOUT_1 likely
#define TEXTPOKE_LAYOUT(option) TEXTPOKE_JOIN(TEXTPOKE_LAYOUT_, TEXTPOKE_IS_DEFINED(option))

#define DEFINE_STATIC_KEY_MAYBE(option, name) TEXTPOKE_JOIN(DEFINE_STATIC_KEY_, TEXTPOKE_STATE(option))(name)
#define DEFINE_STATIC_KEY_MAYBE_RO(option, name) DEFINE_STATIC_KEY_MAYBE(option, name)
#define DECLARE_STATIC_KEY_MAYBE(option, name) TEXTPOKE_JOIN(DECLARE_STATIC_KEY_, TEXTPOKE_STATE(option))(name)
#define static_branch_maybe(option, x) TEXTPOKE_JOIN(static_branch_, TEXTPOKE_LAYOUT(option))(x)

#else /* __ASSEMBLER__ */

/* DEFINE_STATIC_KEY_TRUE name / DEFINE_STATIC_KEY_FALSE name: a hidden global key in initialised data. */
.macro DEFINE_STATIC_KEY_TRUE name:req
	TEXTPOKE_DEFINE_KEY \name, 1
.endm
.macro DEFINE_STATIC_KEY_FALSE name:req
	TEXTPOKE_DEFINE_KEY \name, 0
.endm
.macro TEXTPOKE_DEFINE_KEY name:req, enabled:req
	.pushsection .data.static_key.\name, "aw", TEXTPOKE_ARCH_PROGBITS
	.globl \name
	.hidden \name
	.type \name, STT_OBJECT
	TEXTPOKE_ARCH_KEY \enabled, \name
	.size \name, . - \name
	.popsection
.endm

/* STATIC_JUMP_IF_TRUE target, key, def: goes to `target` while the key is on (an unlikely branch);
 * STATIC_JUMP_IF_FALSE target, key, def: goes there while it is off (a likely one). `def` is the key's initial
 * value, 1 or 0. Kernel: arch/x86/include/asm/jump_label.h before 6.x. */
.macro STATIC_JUMP_IF_TRUE target:req, key:req, def:req
	TEXTPOKE_ARCH_BRANCH \key, \target, \def, 0
.endm
.macro STATIC_JUMP_IF_FALSE target:req, key:req, def:req
	TEXTPOKE_ARCH_BRANCH \key, \target, (1-\def), 1
.endm

#endif
#endif
