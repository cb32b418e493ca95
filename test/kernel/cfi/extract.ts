// The kernel's own code that patches the checks of indirect calls, cut out of its source so that a process can run it
// (arch/x86/kernel/alternative.c, arch/x86/include/asm/ibt.h).

/** From the line that begins with `first` to the next one that begins with `last`; '' where there is none. */
function cut(text: string, first: string, last = '}'): string {
  const lines = text.split('\n');
  const from = lines.findIndex((line) => line.startsWith(first) && !line.endsWith(';'));
  if (from < 0) return '';
  const to = lines.findIndex((line, i) => i >= from && line.startsWith(last));
  return `${lines.slice(from, to + 1).join('\n')}\n`;
}

const functions = [
  'static void *its_init_thunk(',
  'static void *its_allocate_thunk(',
  'static inline bool is_jcc32(',
  'static int emit_indirect(',
  'static int __emit_trampoline(',
  'static int emit_call_track_retpoline(',
  'static int emit_its_trampoline(',
  'static bool cpu_wants_indirect_its_thunk_at(',
  'static int patch_retpoline(',
  'void __init_or_module noinline apply_retpolines(',
  '__noendbr bool is_endbr(',
  'static __noendbr bool exact_endbr(',
  'static void __init_or_module poison_endbr(',
  'void __init_or_module noinline apply_seal_endbr(',
];

/** Since 6.15 there is the paranoid form of FineIBT, and the one that tells numbers of arguments. */
export const hasParanoid = (alternative: string): boolean =>
  alternative.includes('static bool cfi_paranoid __ro_after_init');

/** What is compiled as part.c. Throws for a source that has not all of it. */
export function codeOfCfi(alternative: string): string {
  const parts = functions.map((name) => cut(alternative, name));
  // From the mode to poison_cfi of kernels with FineIBT, but what asks for hashes and numbers of arguments.
  const start = alternative.indexOf('\nenum cfi_mode cfi_mode ');
  const poison = cut(alternative.slice(start), 'static void poison_cfi(');
  const end = alternative.indexOf(poison, start);
  if (start < 0 || poison === '' || end < 0) throw new Error('this source has no FineIBT');
  let rest = alternative.slice(start, end) + poison;
  for (const name of ['u32 cfi_get_func_hash(', 'int cfi_get_func_arity('])
    rest = rest.replace(cut(rest, name), '');
  const open = (rest.match(/^#if/gm) ?? []).length - (rest.match(/^#endif/gm) ?? []).length;
  const first = hasParanoid(alternative) ? 'static bool cfi_paranoid;\n' : '';
  return [first, ...parts, rest, '#endif\n'.repeat(open)].join('\n');
}

/** What is compiled as ibt.h. */
export function codeOfIbt(ibt: string): string {
  const names = ['gen_endbr(void)', 'gen_endbr_poison(void)'].map(
    (name) => `static __always_inline __attribute_const__ u32 ${name}`,
  );
  return [...names, 'static inline bool __is_endbr(', 'static inline bool is_endbr(u32 val)']
    .map((name) => cut(ibt, name))
    .join('\n');
}
