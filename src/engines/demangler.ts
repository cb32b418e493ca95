// C++ and Rust names as their sources have them: the adapter of gecko-profiler-demangle 0.4.0 (the crates cpp_demangle
// and rustc-demangle as wasm), the only file that loads it. What it gets wrong, tried: a name of 210 bytes, each part of
// which is twice the one in front, becomes 35 MB and takes three seconds; and of what is no mangled name it takes the
// underscore away.
import { readFileSync } from 'node:fs';
// As a whole: names of it are not known before the bundle's is loaded (build.js).
import nodeModule from 'node:module';

interface Table {
  grow(count: number): number;
  set(index: number, value: unknown): void;
}

/** What is used of WebAssembly, of which Node's types have nothing. */
const wasm = (
  globalThis as unknown as {
    readonly WebAssembly: {
      readonly Module: new (bytes: Uint8Array) => object;
      readonly Instance: new (module: object, imports: object) => { readonly exports: unknown };
    };
  }
).WebAssembly;

interface Exports {
  readonly memory: { readonly buffer: ArrayBuffer };
  readonly __wbindgen_export_0: Table;
  demangle_any(pointer: number, size: number): [pointer: number, size: number];
  __wbindgen_malloc(size: number, alignment: number): number;
  __wbindgen_free(pointer: number, size: number, alignment: number): void;
  __wbindgen_start(): void;
}

/** Itanium C++ and both manglings of Rust; with what a compiler put behind a dot. */
const mangled = /^_(?:Z|R)[\w.$]+$/;
/** The same within a text, with the prefixes of a static call. */
const within = /(?<![\w.$])(__SC[KT]__)?(_(?:Z|R)[\w.$]*\w)/g;

/** Longer names stay as they are, and so do those that become longer: nobody reads them. */
const longestName = 2048;
const longestText = 4096;
/** Memory beside that of the start, in pages of 64 KiB: a name that grows without end ends there. */
const morePages = 8;
/** Names that grew so much; from then on names stay as they are, for a file of such names would take minutes. */
const mostFailures = 8;
/** Names that are kept: the same few are shown again and again. */
const keptNames = 20_000;

let isShown = true;
let failures = 0;
let compiled: object | undefined;
let running: Exports | undefined;
let isMissing = false;
const known = new Map<string, string | undefined>();

/** From now on names are shown as the linker has them. Patterns match both all the same. */
export function keepMangled(): void {
  isShown = false;
}

/** A text as it is shown: with names of the source, unless `keepMangled` was called. */
export function shownNames(text: string): string {
  return isShown ? withDemangled(text) : text;
}

/** The name of the source that a linker's name stands for; undefined for any other name. */
export function demangled(name: string): string | undefined {
  if (name.length > longestName || !mangled.test(name)) return undefined;
  if (known.has(name)) return known.get(name);
  const text = failures < mostFailures ? ask(name) : undefined;
  if (known.size >= keptNames) known.clear();
  known.set(name, text);
  return text;
}

/** A text in which each mangled name is one of the source. */
export function withDemangled(text: string): string {
  if (!text.includes('_Z') && !text.includes('_R')) return text;
  return text.replace(within, (found, prefix: string | undefined, name: string) => {
    const readable = demangled(name);
    return readable === undefined ? found : `${prefix ?? ''}${readable}`;
  });
}

function ask(name: string): string | undefined {
  running ??= instantiate();
  if (!running) return undefined;
  const { memory, demangle_any, __wbindgen_malloc, __wbindgen_free } = running;
  try {
    const pointer = __wbindgen_malloc(name.length, 1) >>> 0;
    new Uint8Array(memory.buffer, pointer, name.length).set(Buffer.from(name, 'latin1'));
    const [start, size] = demangle_any(pointer, name.length);
    const text = size <= longestText ? Buffer.from(memory.buffer, start >>> 0, size).toString() : undefined;
    __wbindgen_free(start, size, 1);
    if (text === undefined) failures++;
    return text === name || text === name.slice(1) ? undefined : text;
  } catch {
    // What has stopped in the middle cannot go on.
    failures++;
    running = undefined;
    return undefined;
  }
}

function instantiate(): Exports | undefined {
  if (isMissing) return undefined;
  try {
    compiled ??= new wasm.Module(bounded(readFileSync(path())));
  } catch {
    // The package was left out.
    isMissing = true;
    return undefined;
  }
  let table: Table;
  const imports = {
    // As wasm-bindgen has it: the values that JavaScript and wasm share.
    __wbindgen_init_externref_table: () => {
      const first = table.grow(4);
      for (const [i, value] of [undefined, null, true, false].entries()) table.set(first + i, value);
    },
  };
  const exports = new wasm.Instance(compiled, { './index_bg.js': imports }).exports as Exports;
  table = exports.__wbindgen_export_0;
  exports.__wbindgen_start();
  return exports;
}

function path(): string {
  return nodeModule.createRequire(import.meta.url).resolve('gecko-profiler-demangle/index_bg.wasm');
}

/** The module with a limit for its memory (WebAssembly, section 5.5.8), which it has not. */
function bounded(bytes: Uint8Array): Uint8Array {
  const sectionOfMemory = 5;
  const leb = (at: number) => {
    let [value, next, shift] = [0, at, 0];
    let byte: number;
    do {
      byte = bytes[next++] as number;
      value |= (byte & 0x7f) << shift;
      shift += 7;
    } while (byte >= 0x80);
    return { value, next };
  };
  const toLeb = (value: number): number[] =>
    value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...toLeb(value >>> 7)];
  for (let at = 8; at < bytes.length; ) {
    const { value: size, next: body } = leb(at + 1);
    if (bytes[at] === sectionOfMemory) {
      // One memory, with a least size and no largest one.
      const pages = leb(body + 2).value;
      const limits = [1, 1, ...toLeb(pages), ...toLeb(pages + morePages)];
      return Buffer.concat([
        bytes.subarray(0, at),
        Uint8Array.from([sectionOfMemory, ...toLeb(limits.length), ...limits]),
        bytes.subarray(body + size),
      ]);
    }
    at = body + size;
  }
  throw new Error('the demangler has no memory of its own');
}
