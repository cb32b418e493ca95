// What a rebuild changes in a function's name and what it does not: suffixes of split and cloned functions, and the
// hashes of Rust's manglings (rust-lang RFC 2603; the legacy one ends in 17h, 16 digits and E), numbers of clang's lambdas.

/** What a function's split-off blocks are called: they belong to it. */
const partSuffix = /(\.(cold|warm|hot|part|__part)(\.\d+)*)+$/;

/** What compilers put behind the names of functions that they split, clone or rename. */
const suffix =
  /(\.(constprop|isra|part|__part|cold|llvm|lto_priv|localalias|specialized|warm|hot|__uniq|\d+)(\.\d+)*)+$/;

const clangLambda = /\d+\$_\d+/g;
const legacyHash = /17h[0-9a-f]{16}E$/;
const hexHash = /(?<![0-9A-Za-z])[0-9a-f]{16}(?![0-9A-Za-z])/g;

/** The function that a part of one belongs to: `work` of `work.cold`. */
export function withoutPart(name: string): string {
  return name.replace(partSuffix, '') || name;
}

/** `work` of `work.isra.0` and of `work.cold`. */
export function baseName(name: string): string {
  return name.replace(suffix, '') || name;
}

const unique = '__UNIQUE_ID_';

/**
 * Without the number that the kernel's headers give to a name that needs one: `__UNIQUE_ID_ddebug` of
 * `__UNIQUE_ID_ddebug794` (include/linux/compiler.h; since 6.19 `__UNIQUE_ID_ddebug_794`), and without number and line
 * of `__initstub__kmod_fs__283_100_init6` (include/linux/init.h).
 */
function withoutCounter(name: string): string {
  if (name.startsWith('__init'))
    return name.replace(/^(__init(?:call|stub)__kmod_\w{1,200}?__)\d+_\d+_/, '$1');
  // Clang puts the function in front of what is local to it.
  const start = name.indexOf(unique);
  if (start < 0) return name;
  const least = start + unique.length;
  let end = name.length;
  while (end > least && /\d/.test(name.charAt(end - 1))) end--;
  if (end === name.length) return name;
  return name.slice(0, name[end - 1] === '_' && end > least ? end - 1 : end);
}

/** Without the numbers of lambdas and of other types without a name, which clang counts in a unit: one more in front changes all. */
export function withoutLambdas(name: string): string {
  return name.startsWith('_Z') ? name.replace(clangLambda, '$$_') : name;
}

/** A name without anything that another build of the same source may change. Several functions may share it. */
export function stableName(name: string): string {
  const base = withoutCounter(baseName(name));
  if (base.startsWith('_Z')) return withoutLambdas(base.replace(legacyHash, 'E'));
  return base.startsWith('_R') ? withoutDisambiguators(base) : base;
}

/** The stable name of a key, which may be one of an array: `keys+0x10`. */
export function stableKey(name: string): string {
  const [, symbol = name, offset = ''] = /^(.*?)([+-]0x[0-9a-f]+)?$/s.exec(name) ?? [];
  return stableName(symbol) + offset;
}

/** True for a key that has a number of its build in its name. */
export function isNumbered(name: string): boolean {
  return stableKey(name) !== name;
}

/** The same for a member of an archive: rustc's begin with the name of the file, and have the crate's hash. */
export function stableMember(name: string): string {
  return name.replace(/^.*?([^.]*)\.[0-9a-z]{16,}(-cgu\.\d+)?\.rcgu\.o$/, '$1$2').replace(hexHash, '');
}

/**
 * Parts of a v0 name in which C s BASE62 _ is no crate: numbers and constants; last comes an identifier, whose length
 * stands in front of it.
 */
const v0Part = /[BLG][0-9A-Za-z]*_|K[a-z]n?[0-9a-f]*_|s[0-9A-Za-z]{0,3}_|Cs[0-9A-Za-z]*_|(\d+)_?/y;

function withoutDisambiguators(name: string): string {
  let stable = '';
  let at = 0;
  while (at < name.length) {
    v0Part.lastIndex = at;
    const [found = name.charAt(at), length] = v0Part.exec(name) ?? [];
    const end = at + found.length + (length === undefined ? 0 : Number(length));
    // What a B refers to is so many bytes away, hashes included.
    stable += found.startsWith('Cs') ? 'C' : found.startsWith('B') ? 'B' : name.slice(at, end);
    at = end;
  }
  return stable;
}
