// Every write to the text of a distribution's kernel while it boots, loads modules and is traced, as lines of JSON: what
// the plugin writes.c of QEMU sees. Snapshots show that nothing was left out.
import { execFileSync } from 'node:child_process';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { withImage } from '../../../src/library/image.ts';
import { btfOf } from '../../../src/memory/kernel/kernel.ts';
import { textsOf } from '../../../src/text/texts.ts';
import { Guest } from '../guest.ts';
import { compiledInit } from './combination.ts';
import { distroInitramfs } from './initramfs.ts';
import { machines, wantedModules } from './kernels.ts';

/** A guest whose writes are recorded. */
export interface RecordedGuest {
  /** vmlinuz */
  readonly image: string;
  /** Where its modules are; undefined: it loads none. */
  readonly modules: string | undefined;
  readonly cpu: string;
  /** Words of the kernel's command line. */
  readonly words: string;
  readonly processors: number;
}

/** A write; the address is that of the link. */
export interface TextWrite {
  readonly address: string;
  readonly before: string;
  readonly after: string;
}

/** A line of a recording. `started`: the kernel gives its init text back. */
export type RecordedLine = TextWrite | { readonly slide: string } | { readonly event: 'started' };

/** What came of a recording. */
export interface Recording {
  /** Lines of JSON. */
  readonly file: string;
  /** What memory held from the start of the text on, when the kernel began, and when it gave its init text back. */
  readonly first: string;
  readonly booted: string;
  readonly slide: number;
  readonly writes: number;
  /** Bytes that a snapshot has and no write that was recorded made. */
  readonly unrecorded: readonly string[];
  /** What memory holds where constants lead that have no variable: address and bytes, as hexadecimal digits. */
  readonly memory: readonly (readonly [address: string, bytes: string])[];
  /** Places of probes, as linked, by the kernel's own list. */
  readonly probes: readonly number[];
}

/** Functions that write text once each. */
const writers = ['text_poke_early', 'text_poke_memcpy', '__text_poke', 'optimize_nops'];

/** Addresses of a kernel's file, without a sign. */
export interface RecordedKernel {
  readonly start: bigint;
  /** Bytes from the start to the end of the last text, to that of the text that is kept, and to that of the image. */
  readonly size: number;
  readonly kept: number;
  readonly all: number;
  readonly entry: bigint;
  readonly booted: bigint;
  readonly writers: readonly bigint[];
  /** Constants of 8 bytes whose variables the compiler left out: the first place of each in the kept text. */
  readonly nameless: ReadonlyMap<string, bigint>;
  /** Where a cache has the pointer to its name. */
  readonly cacheName: number | undefined;
  /** Both ends of each text. */
  readonly texts: readonly (readonly [start: bigint, end: bigint])[];
}

const unsigned = (address: number): bigint => BigInt.asUintN(64, BigInt(address));
const hex = (number: bigint | number): string => number.toString(16);

export function recordedKernel(image: string): Promise<RecordedKernel> {
  return withImage(image, {}, (linked) => {
    const places = (name: string) => linked.symbols.addressesOf(name).map(unsigned);
    const at = (name: string) => {
      const [address] = places(name);
      if (address === undefined) throw new Error(`${image} has no ${name}`);
      return address;
    };
    const texts = textsOf(linked).all;
    const start = texts[0]?.start ?? 0;
    const kept = Number(at('_etext') - at('_text'));
    const nameless = new Map<string, bigint>();
    for (const { name, addr, size } of linked.file.sections) {
      const variable = /^runtime_ptr_(.+)$/.exec(name)?.[1];
      if (variable === undefined || places(variable).length > 0) continue;
      for (let row = addr; row < addr + size; row += 4) {
        const place = row + linked.readS32(row);
        if (place - start < kept && !nameless.has(variable)) nameless.set(variable, unsigned(place));
      }
    }
    return {
      start: unsigned(start),
      size: (texts.at(-1)?.end ?? 0) - start,
      kept,
      nameless,
      cacheName: btfOf(linked)?.member('kmem_cache', 'name')?.offset,
      all: Number(at('__bss_stop') - unsigned(start)),
      entry: at('x86_64_start_kernel'),
      booted: at('free_initmem'),
      writers: writers.flatMap(places),
      texts: texts.map((text) => [unsigned(text.start), unsigned(text.end)] as const),
    };
  });
}

/** Records into DIRECTORY/writes.jsonl. */
export async function recordWrites(
  directory: string,
  { image, modules, cpu, words, processors }: RecordedGuest,
  say: (line: string) => void,
): Promise<Recording> {
  const kernel = await recordedKernel(image);
  const machine = machines.amd64;
  const { archive } = distroInitramfs(
    directory,
    compiledInit(directory, machine.compiler),
    modules,
    wantedModules,
    (root) => {
      for (const name of ['trace', 'untrace']) writeFileSync(join(root, name), '');
    },
  );
  const plugin = join(directory, 'writes.so');
  execFileSync('gcc', ['-shared', '-fPIC', '-O2', join(import.meta.dirname, 'writes.c'), '-o', plugin]);
  const file = join(directory, 'writes.jsonl');
  const args = [
    ...[`out=${file}`, `start=${hex(kernel.start)}`, `size=${hex(kernel.size)}`, `all=${hex(kernel.all)}`],
    ...[`entry=${hex(kernel.entry)}`, `booted=${hex(kernel.booted)}`],
    ...kernel.texts.flat().map((address) => `part=${hex(address)}`),
    ...kernel.writers.map((address) => `call=${hex(address)}`),
  ];
  const guest = new Guest(directory, [
    ...[...machine.qemu, '-cpu', cpu, '-smp', `${processors}`, '-m', '256'],
    ...['-plugin', [plugin, ...args].join(',')],
    ...['-kernel', image, '-initrd', archive, '-append', `${machine.words} ${words}`.trim()],
  ]);
  try {
    for (const state of ['booted', 'switched', 'traced', 'untraced']) {
      await guest.line(`at rest: ${state}`, 3600);
      say(state);
      if (state !== 'untraced') guest.next();
    }
    const slide = BigInt(/"slide":"(0x[0-9a-f]+)"/.exec(readFileSync(file, 'utf8').slice(0, 100))?.[1] ?? '');
    const end = join(directory, 'text-end');
    rmSync(end, { force: true });
    const val = Number(BigInt.asIntN(64, kernel.start + slide));
    const memory: [string, string][] = [];
    await guest.stopped(async (qmp) => {
      await qmp.run('memsave', { val, size: kernel.kept, filename: end });
      const save = async (address: bigint, size: number): Promise<Buffer> => {
        const part = join(directory, 'part');
        await qmp.run('memsave', { val: Number(BigInt.asIntN(64, address)), size, filename: part });
        const bytes = readFileSync(part);
        memory.push([`0x${hex(address)}`, bytes.toString('hex')]);
        rmSync(part);
        return bytes;
      };
      const text = readFileSync(end);
      for (const [variable, place] of kernel.nameless) {
        const pointer = text.readBigUInt64LE(Number(place - kernel.start));
        if (!variable.endsWith('_cache') || kernel.cacheName === undefined) continue;
        const name = await save(pointer + BigInt(kernel.cacheName), 8);
        await save(name.readBigUInt64LE(), 32);
      }
    });
    // What is recorded last is written when QEMU ends.
    await guest.end();
    const lines = [...recordedLines(file)];
    const [first, booted] = [`${file}.first`, `${file}.booted`];
    const unrecorded = compare(kernel, lines, first, booted, end);
    rmSync(end);
    // Those at the start of a traced function write nothing of their own.
    const listed = guest.text.matchAll(/^([0-9a-f]{16}) +[kr] .*\+0x[0-9a-f]+(?!.*\[FTRACE\])/gm);
    const probes = [...listed].map(([, at]) => Number(BigInt.asIntN(64, BigInt(`0x${at}`) - slide)));
    const writes = lines.filter((line) => 'address' in line).length;
    return { file, first, booted, slide: Number(slide), writes, unrecorded, probes, memory };
  } finally {
    await guest.end();
  }
}

/** The bytes that differ between what was recorded and what memory held, at both ends. */
function compare(
  { start, kept, texts }: RecordedKernel,
  lines: readonly RecordedLine[],
  first: string,
  booted: string,
  end: string,
): string[] {
  const text = readFileSync(first);
  const found: string[] = [];
  const hold = (moment: string, memory: Buffer, from: number, to: number) => {
    for (let at = from; at < to; at++)
      if (text[at] !== memory[at]) found.push(`${moment} 0x${hex(start + BigInt(at))}`);
  };
  for (const line of lines) {
    if ('event' in line) {
      const memory = readFileSync(booted);
      for (const [from, to] of texts) hold('start-up', memory, Number(from - start), Number(to - start));
    }
    if (!('address' in line)) continue;
    const at = Number(BigInt(line.address) - start);
    const before = Buffer.from(line.before, 'hex');
    if (!before.equals(text.subarray(at, at + before.length))) found.push(`before ${line.address}`);
    Buffer.from(line.after, 'hex').copy(text, at);
  }
  hold('end', readFileSync(end), 0, kept);
  return found;
}

/** The lines of a recording. */
export function* recordedLines(file: string): Generator<RecordedLine> {
  for (const text of readFileSync(file, 'utf8').split('\n'))
    if (text !== '') yield JSON.parse(text) as RecordedLine;
}
