// kallsyms of Debian's kernels against the symbol table of the same kernel: nm -n is what scripts/kallsyms of a kernel's
// build reads. Every symbol of kallsyms is in the symbol table with its address and letter, and what the symbol table has
// more is left out by a rule of scripts/kallsyms.c and scripts/mksysmap.
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ElfFile } from '../../src/elf/file.ts';
import { readElf } from '../../src/elf/read.ts';
import { findKallsyms, type Kallsyms } from '../../src/kernel/kallsyms.ts';
import type { Report } from './report.ts';

interface NmSymbol {
  readonly letter: string;
  readonly name: string;
  readonly address: number;
}

/** The text that is in kallsyms whatever the configuration says. */
interface Text {
  readonly ranges: readonly (readonly [start: number, end: number])[];
  /** CONFIG_KALLSYMS_ALL: data too. */
  readonly all: boolean;
}

/** What a kernel leaves out of kallsyms, and why. */
const rules: readonly (readonly [why: string, leftOut: (symbol: NmSymbol, text: Text) => boolean])[] = [
  ['absolute, undefined and debugging symbols', ({ letter }) => /^[aAUuNn]$/.test(letter)],
  ['weak symbols without a definition', ({ letter }) => letter === 'w'],
  ['names of exports and their checksums', ({ name }) => /^__(kstrtab|kstrtabns|crc)_/.test(name)],
  ['labels of the compiler', ({ name }) => name.startsWith('.L')],
  ['mapping symbols', ({ name }) => /^(__pi_|__kvm_nvhe_)?\$/.test(name)],
  ['labels of the kernel virtual machine', ({ name }) => name.startsWith('__kvm_nvhe_.L')],
  ['the EFI stub', ({ name }) => name.startsWith('__efistub_')],
  [
    'veneers of linkers',
    ({ name }) =>
      /(_from_(arm|thumb)|_veneer)$|^__(AArch64ADRP|ARMV[57]PILong|ThumbV7PILong)Thunk_/.test(name),
  ],
  ['type identifiers of CFI', ({ name }) => name.startsWith('__kcfi_typeid_')],
  [
    'kallsyms itself',
    ({ name }) =>
      /^kallsyms_(addresses|offsets|relative_base|num_syms|names|markers|token_table|token_index|seqs_of_names)$/.test(
        name,
      ),
  ],
  [
    'data, without CONFIG_KALLSYMS_ALL',
    ({ address }, { ranges, all }) =>
      !all && !ranges.some(([start, end]) => address >= start && address < end),
  ],
];

/** Debug packages in DIRECTORY/kallsyms; the newest that the machine's suites have where there is none. */
function debugPackages(place: string): string[] {
  mkdirSync(place, { recursive: true });
  const present = () => readdirSync(place).filter((name) => /-dbg_.*\.deb$/.test(name));
  if (present().length === 0) {
    const depends = execFileSync('apt-cache', ['depends', 'linux-image-cloud-amd64-dbg'], {
      encoding: 'utf8',
    });
    const name = /Depends: (\S+)/.exec(depends)?.[1];
    if (!name) throw new Error('apt-cache knows no linux-image-cloud-amd64-dbg');
    execFileSync('apt-get', ['download', '-qq', name], { cwd: place, stdio: 'ignore' });
  }
  return present().sort();
}

/** Unpacks nothing but the kernel of a debug package. */
function unpackKernel(place: string, archive: string): string {
  const root = join(place, archive.replace(/_.*/, ''));
  mkdirSync(root, { recursive: true });
  const found = () =>
    readdirSync(root, { recursive: true, encoding: 'utf8' }).find((name) =>
      /(^|\/)vmlinux(-[^/]*)?$/.test(name),
    );
  if (found() === undefined) {
    const line = 'dpkg-deb --fsys-tarfile "$1" | tar -x -C "$2" --wildcards "*/vmlinux*"';
    execFileSync('sh', ['-c', line, 'sh', join(place, archive), root]);
  }
  return join(root, found() as string);
}

/** The same on machines of 32 and 64 bits: nm pads with zeros. */
const lineOf = (address: number, name: string) => `${address} ${name}`;

function symbolsOfNm(path: string, bits: 32 | 64): NmSymbol[] {
  const text = execFileSync('nm', ['-n', path], { encoding: 'utf8', maxBuffer: 1 << 30 });
  return [...text.matchAll(/^([0-9a-f]*) +(\S) (.+)$/gm)].map(([, digits, letter, name]) => ({
    letter: letter as string,
    name: name as string,
    address: Number(bits === 64 ? BigInt.asIntN(64, BigInt(`0x${digits || 0}`)) : BigInt(`0x${digits || 0}`)),
  }));
}

/** The kernel as it lies in memory from its first segment on: what an arm64 Image is. */
function flat(elf: ElfFile, bytes: Uint8Array): Uint8Array {
  const loads = elf.segments.filter(({ type, filesz }) => type === 1 && filesz > 0);
  const start = Math.min(...loads.map(({ vaddr }) => vaddr));
  const size = Math.max(...loads.map(({ vaddr, filesz }) => vaddr + filesz)) - start;
  const image = new Uint8Array(size);
  for (const { offset, filesz, vaddr } of loads)
    image.set(bytes.subarray(offset, offset + filesz), vaddr - start);
  return image;
}

function addressIn(elf: ElfFile): (offset: number) => number | undefined {
  return (at) => {
    const load = elf.segments.find(
      ({ type, offset, filesz }) => type === 1 && at >= offset && at < offset + filesz,
    );
    return load && load.vaddr + at - load.offset;
  };
}

/** The ends of the text, as scripts/kallsyms.c takes them. */
function textOf(kallsyms: Kallsyms): Text {
  const names = ['_stext', '_etext', '_sinittext', '_einittext'];
  const data = '__start_rodata';
  const found = kallsyms.find(new Set([...names, data]));
  const ends = names.map((name) => kallsyms.addresses[found.get(name)?.[0] ?? -1] ?? 0);
  const [stext = 0, etext = 0, sinittext = 0, einittext = 0] = ends;
  return {
    ranges: [
      [stext, etext],
      [sinittext, einittext],
    ],
    all: found.has(data),
  };
}

function compareKernel(report: Report, path: string): void {
  const file = readFileSync(path);
  const bytes = new Uint8Array(file.buffer, file.byteOffset, file.length);
  const elf = readElf(path, bytes);
  const { class: bits, little, machine } = elf.header;
  const shape = { little, bits, addressOf: addressIn(elf) };
  const start = performance.now();
  const kallsyms = findKallsyms(bytes, shape);
  const took = performance.now() - start;
  report.expect(
    kallsyms !== undefined,
    `${path}: kallsyms is found in ${bytes.length} bytes in ${took.toFixed(0)} ms`,
  );
  if (!kallsyms) return;

  const left = new Map<string, string[]>();
  for (const { letter, name, address } of symbolsOfNm(path, bits)) {
    const letters = left.get(lineOf(address, name));
    if (letters) letters.push(letter);
    else left.set(lineOf(address, name), [letter]);
  }
  const missing: string[] = [];
  const other: string[] = [];
  let absolute = 0;
  for (let i = 0; i < kallsyms.count; i++) {
    const line = lineOf(kallsyms.addresses[i] as number, kallsyms.name(i));
    const letters = left.get(line) ?? [];
    const type = kallsyms.type(i);
    const [letter] = letters.splice(Math.max(0, letters.indexOf(type)), 1);
    if (letter === undefined) missing.push(line);
    // --absolute-percpu gives per-CPU data another letter.
    else if (type === 'A' && /^[Dd]$/.test(letter)) absolute++;
    else if (letter !== type) other.push(`${line}: ${letter} is ${type}`);
  }
  const { count, form } = kallsyms;
  report.expect(
    missing.length === 0,
    `all ${count} names and addresses of kallsyms are in the symbol table (${form}) ${missing.slice(0, 3)}`,
  );
  report.expect(
    other.length === 0,
    `their letters are the same, but for ${absolute} of per-CPU data ${other.slice(0, 3)}`,
  );
  leftOver(report, left, textOf(kallsyms));

  if (machine !== 183) return;
  const image = findKallsyms(flat(elf, bytes), { little, bits, addressOf: () => undefined });
  const same =
    image?.anchored &&
    image.count === count &&
    image.addresses.every((address, i) => address === kallsyms.addresses[i]);
  report.expect(
    same === true,
    'the same addresses are found in the flat image, of which nobody says where it lies',
  );
}

/** Each symbol that kallsyms does not have is left out by a rule. */
function leftOver(report: Report, left: ReadonlyMap<string, readonly string[]>, text: Text): void {
  const counts = new Map<string, number>();
  const unexplained: string[] = [];
  for (const [line, letters] of left) {
    const [digits = '', ...words] = line.split(' ');
    for (const letter of letters) {
      const symbol = { letter, address: Number(digits), name: words.join(' ') };
      const why = rules.find(([, leftOut]) => leftOut(symbol, text))?.[0];
      if (why === undefined) unexplained.push(`${letter} ${line}`);
      else counts.set(why, (counts.get(why) ?? 0) + 1);
    }
  }
  const words = [...counts].map(([why, count]) => `${count} ${why}`).join('; ');
  report.expect(
    unexplained.length === 0,
    `the symbol table has more by rules alone: ${words} ${unexplained.slice(0, 3)}`,
  );
}

/** Debug packages of DIRECTORY/kallsyms. */
export function compareKallsyms(report: Report, directory: string): void {
  const place = join(directory, 'kallsyms');
  for (const archive of debugPackages(place)) compareKernel(report, unpackKernel(place, archive));
}
