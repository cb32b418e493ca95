// What nobody but somebody hostile changes in a running kernel: bits of its text, and what verify reads to know what the text
// must be. A changed bit must be found in its function. A changed input must be found, or be one on which no byte depends.
import { sameBytes } from '../../../src/bytes/integer.ts';
import { readAlternatives } from '../../../src/image/alternatives.ts';
import type { Image } from '../../../src/image/image.ts';
import { keyOf } from '../../../src/kinds/kind.ts';
import { programOf } from '../../../src/kinds/registry.ts';
import { staticBranch } from '../../../src/kinds/static-branch/kind.ts';
import { staticCall } from '../../../src/kinds/static-call/kind.ts';
import { withImage } from '../../../src/library/image.ts';
import { readFtrace } from '../../../src/memory/kernel/ftrace.ts';
import { runningKernel } from '../../../src/memory/kernel/kernel.ts';
import { type FoundModule, findModuleFiles } from '../../../src/memory/kernel/module-files.ts';
import { KernelVariables } from '../../../src/memory/kernel/variables.ts';
import { locateImage } from '../../../src/memory/locate.ts';
import type { ImagePlace, Memory } from '../../../src/memory/memory.ts';
import { openSnapshot } from '../../../src/memory/open.ts';
import type { ComparedText } from '../../../src/text/compare.ts';
import { replayText } from '../../../src/text/replay.ts';
import type { ReplayedModule, ReplayedText } from '../../../src/text/result.ts';
import { readSites } from '../../../src/text/x86-64/sites.ts';
import type { Finding } from '../../../src/verify/finding.ts';
import { verifyMemory } from '../../../src/verify/memory.ts';
import { Random } from '../../seeded.ts';
import type { Report } from '../report.ts';

/** Bytes that stand at an address as linked, or at one of the heap as it runs. */
interface Change {
  readonly name: string;
  /** In the running kernel. */
  readonly address: number;
  readonly bytes: Uint8Array;
}

/** A memory in which some bytes are others. `offset` leads from addresses of the running kernel to those of this memory. */
function changed(memory: Memory, changes: readonly Change[], offset: number): Memory {
  return {
    ...memory,
    read(address, into) {
      const whole = memory.read(address, into);
      for (const { address: runs, bytes } of changes) {
        const at = runs + offset - address;
        if (at >= into.length || at + bytes.length <= 0) continue;
        for (let i = Math.max(0, -at); i < bytes.length && at + i < into.length; i++)
          into[at + i] = bytes[i] as number;
      }
      return whole;
    },
  };
}

interface Outcome {
  readonly findings: readonly Finding[];
  /** Undefined where verify says that it cannot tell. */
  readonly text: ReplayedText | undefined;
  readonly moduleTexts: readonly ReplayedModule[];
}

/** Text that was compared: of the kernel, or a section of a module. */
interface Part {
  readonly image: Image;
  /** In front of the names of places. */
  readonly prefix: string;
  readonly start: number;
  readonly held: Uint8Array;
}

class Subject {
  readonly image: Image;
  readonly place: ImagePlace;
  private readonly relocations: Uint8Array | undefined;
  readonly files: readonly FoundModule[] | undefined;

  /** `files`: of modules, whose text is then verified as well. */
  constructor(
    image: Image,
    place: ImagePlace,
    relocations: Uint8Array | undefined,
    files: readonly FoundModule[] | undefined,
  ) {
    this.image = image;
    this.place = place;
    this.relocations = relocations;
    this.files = files;
  }

  /** Verifies the memory with changes, as the command does. */
  verify(changes: readonly Change[]): Outcome {
    const { files } = this;
    const { image, place } = this;
    const kernelMemory = place.kernelMemory && changed(place.kernelMemory, changes, 0);
    const memory = changed(place.memory, changes, place.offset - place.slide);
    const now: ImagePlace = { ...place, memory, kernelMemory };
    const running = runningKernel(image, now);
    if (!running) throw new Error('no kernel');
    const text = replayText(image, running, this.relocations);
    const known = text && 'compared' in text ? text : undefined;
    const moduleTexts = (files && known?.replayModules?.(files)) ?? [];
    const { findings } = verifyMemory(image, now, undefined, { running, files, text, moduleTexts });
    return { findings, text: known, moduleTexts };
  }
}

const functionOf = (place: string) => place.replace(/\+0x[0-9a-f]+$/, '');

function partsOf({ image, files }: Pick<Subject, 'image' | 'files'>, base: Outcome): Part[] {
  if (!base.text) throw new Error('the text of this kernel is not compared');
  const part = (of: Image, prefix: string, { start, memory }: ComparedText): Part => ({
    image: of,
    prefix,
    start,
    held: memory,
  });
  if (!files) return [part(image, '', base.text.compared)];
  return base.moduleTexts.flatMap(({ module, image: of, sections }) =>
    of ? sections.map(({ compared }) => part(of, `${module.name}:`, compared)) : [],
  );
}

/** A byte of text. */
interface Byte {
  readonly part: Part;
  readonly at: number;
}

function pick(parts: readonly Part[], random: Random): Byte {
  let at = random.below(parts.reduce((sum, { held }) => sum + held.length, 0));
  for (const part of parts) {
    if (at < part.held.length) return { part, at };
    at -= part.held.length;
  }
  throw new Error('there is no text');
}

/** Bytes in front of functions with a hash and at their start, and in front of calls and at them (kCFI, FineIBT). */
const checkSize = 20;

/** Where checks of calls stand in a part: all of them, in kernels that have any. */
function checksOf(part: Part): { readonly part: Part; readonly places: Float64Array }[] {
  const { image, start, held } = part;
  const functions = readSites(image, 'cfi');
  if (!functions) return [];
  const calls = (readSites(image, 'retpoline') ?? new Float64Array(0)).map((site) => site - 16);
  const places = Float64Array.from([...functions, ...calls]).filter(
    (place) => place >= start && place + checkSize <= start + held.length,
  );
  return places.length > 0 ? [{ part, places }] : [];
}

function pickChecked(checked: ReturnType<typeof checksOf>, random: Random): Byte {
  const { part, places } = random.pick(checked);
  const place = places[random.below(places.length)] as number;
  return { part, at: place - part.start + random.below(checkSize) };
}

/**
 * Bits of text, each in a function of its own, so that many can be changed at once: of modules where their files are known.
 * Where calls are checked (kCFI), half of them are bits of the checks.
 */
function findBits(report: Report, subject: Subject, count: number, random: Random): void {
  const base = subject.verify([]);
  const before = new Set(base.findings.map(({ address }) => address));
  const parts = partsOf(subject, base);
  const bytes = parts.reduce((sum, { held }) => sum + held.length, 0);
  const checked = parts.flatMap(checksOf);
  const functions = new Set<string>();
  let [found, tried] = [0, 0];
  const missed: string[] = [];
  while (tried < count) {
    const changes: Change[] = [];
    const taken = new Set<string>();
    // Modules have fewer functions, and some are tried in vain.
    for (let i = 0; i < 1000 && changes.length < Math.min(500, count - tried); i++) {
      const { part, at } =
        checked.length > 0 && i % 2 === 0 ? pickChecked(checked, random) : pick(parts, random);
      const { image, prefix, start, held } = part;
      const place = image.describe(start + at);
      // Some sections have no symbol.
      const name = `${prefix}${place.startsWith('0x') ? image.sectionAt(start + at)?.name : place}`;
      if (taken.has(functionOf(name))) continue;
      taken.add(functionOf(name));
      const byte = (held[at] as number) ^ (1 << random.below(8));
      changes.push({ name, address: start + at + subject.place.slide, bytes: Uint8Array.of(byte) });
    }
    const placesOf = (some: readonly Change[]) =>
      new Set(
        subject
          .verify(some)
          .findings.filter(({ address }) => !before.has(address))
          .map(({ place }) => functionOf(place)),
      );
    const places = placesOf(changes);
    for (const change of changes) {
      const name = functionOf(change.name);
      functions.add(name);
      // What is changed close behind the end of another function, which was changed there as well, is told with it.
      if (places.has(name) || placesOf([change]).has(name)) found++;
      else missed.push(change.name);
    }
    tried += changes.length;
  }
  report.expect(found === tried, `${found} of ${tried} changed bits of text are found, each in its function`);
  report.say(`  in ${functions.size} functions of ${bytes} bytes`);
  for (const place of missed.slice(0, 20)) report.say(`  missed: ${place}`);
}

/** Little-endian, 8 bytes; addresses of the kernel are negative. */
function word(value: number): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigInt64(0, BigInt(value), true);
  return bytes;
}

const u32 = (value: number) => Uint8Array.of(value, value >>> 8, value >>> 16, value >>> 24);

/** What can be changed of each sort of input: the next change, chosen at random. */
function sortsOf(subject: Subject, random: Random): Map<string, () => Change> {
  const { image, place } = subject;
  const running = runningKernel(image, place);
  if (!running?.btf) throw new Error('the kernel has no BTF');
  const { reader, btf } = running;
  const kernel = new KernelVariables(image, place.slide, reader, btf);
  const runs = (linked: number) => linked + place.slide;
  const bytesAt = (address: number, size: number) => {
    const bytes = reader.bytes(address, size);
    if (!bytes) throw new Error(`${address.toString(16)} is not in the dump`);
    return bytes.slice();
  };
  const flip = (name: string, address: number, size: number): Change => {
    const bytes = bytesAt(address, size);
    const bit = random.below(8 * size);
    bytes[bit >> 3] = (bytes[bit >> 3] as number) ^ (1 << (bit & 7));
    return { name: `${name}, bit ${bit}`, address, bytes };
  };
  /** A pointer leads somewhere else: a bit further, to another function, into nothing. */
  const lead = (name: string, address: number): Change => {
    const old = reader.word(address) ?? 0;
    const calls = programCalls[random.below(programCalls.length)] as number;
    const to = random.pick([old + 1, old + 16, runs(calls), 0, -4096 * (1 + random.below(1 << 20))]);
    return { name: `${name} leads to ${(to - old).toString(16)} from there`, address, bytes: word(to) };
  };
  const program = programOf(image);
  const branches = [...new Set(program.sites.of(staticBranch).map((site) => keyOf(site)))].filter(
    (key): key is number => key !== undefined && !image.isInitText(key),
  );
  const calls = [...new Set(program.sites.of(staticCall).map((site) => keyOf(site)))].filter(
    (key): key is number => key !== undefined,
  );
  const programCalls = [...program.calls.values()].flatMap(({ trampoline }) => trampoline ?? []);
  const sorts = new Map<string, () => Change>();
  const capability = btf.member('cpuinfo_x86', 'x86_capability');
  const cpu = kernel.at('boot_cpu_data');
  if (capability && cpu !== undefined)
    sorts.set('features', () => flip('boot_cpu_data', cpu + capability.offset, capability.size));
  const listed = readAlternatives(image);
  if (listed && capability && cpu !== undefined) {
    const features = new Set(listed.listed.map(({ feature }) => feature));
    const all = [...features].filter((feature) => feature < 8 * capability.size);
    sorts.set('features of alternatives', () => {
      const feature = random.pick(all);
      const address = cpu + capability.offset + (feature >> 3);
      const [byte = 0] = bytesAt(address, 1);
      return {
        name: `feature ${feature >> 5}*32+${feature & 31}`,
        address,
        bytes: Uint8Array.of(byte ^ (1 << (feature & 7))),
      };
    });
  }
  for (const name of [
    'x86_return_thunk',
    'ftrace_pages_start',
    'ftrace_ops_list',
    'ideal_nops',
    'ftrace_trace_function',
  ]) {
    const at = kernel.at(name);
    if (at !== undefined) sorts.set(name, () => lead(name, at));
  }
  const pv = image.symbols.addressOf('pv_ops');
  const pvSize = btf.structSize('paravirt_patch_template');
  if (pv !== undefined && pvSize)
    sorts.set('pv_ops', () => {
      const at = 8 * random.below(Math.floor(pvSize / 8));
      return lead(`pv_ops+0x${at.toString(16)}`, runs(pv) + at);
    });
  sorts.set('keys', () => {
    const key = random.pick(branches);
    const [enabled = 0] = bytesAt(runs(key), 1);
    return {
      name: `${image.describe(key)} is ${enabled > 0 ? 'off' : 'on'}`,
      address: runs(key),
      bytes: u32(enabled > 0 ? 0 : 1),
    };
  });
  sorts.set('calls', () => {
    const key = random.pick(calls);
    return lead(image.describe(key), runs(key));
  });
  const patched = kernel.at('uniproc_patched');
  if (patched !== undefined) sorts.set('uniproc_patched', () => flip('uniproc_patched', patched, 1));
  const probes = image.symbols.addressOf('kprobe_table');
  if (probes !== undefined)
    sorts.set('kprobe_table', () => lead('kprobe_table', runs(probes) + 8 * random.below(64)));
  const tables = readFtrace(kernel);
  const first = kernel.pointer('ftrace_pages_start');
  const page = kernel.offsets('ftrace_page', 'next', 'records', 'index');
  const size = btf.structSize('dyn_ftrace');
  if (tables && first !== undefined && page && size) {
    const groups: { start: number; count: number }[] = [];
    for (let at: number | undefined = first; at; at = reader.word(at + page.next))
      groups.push({ start: reader.word(at + page.records) ?? 0, count: reader.u32(at + page.index) ?? 0 });
    sorts.set('records of ftrace', () => {
      const { start, count } = random.pick(groups);
      return flip('a record', start + size * random.below(count), size);
    });
  }
  for (const symbol of [
    'dentry_hashtable',
    'd_hash_shift',
    'inode_hashtable',
    'names_cachep',
    '__names_cache',
  ]) {
    const at = kernel.at(symbol);
    if (at !== undefined) sorts.set(symbol, () => flip(symbol, at, 8));
  }
  for (const [symbol, size] of checks) {
    const at = kernel.at(symbol);
    if (at !== undefined) sorts.set(symbol, () => flip(symbol, at, size));
  }
  return sorts;
}

/** What a kernel with kCFI has decided about its checks, in bytes. */
const checks: readonly (readonly [symbol: string, size: number])[] = [
  ['cfi_mode', 4],
  ['cfi_rand', 1],
  ['cfi_seed', 4],
  ['cfi_paranoid', 1],
  ['cfi_bhi', 1],
  ['cfi_warn', 1],
  ['cfi_bpf_hash', 4],
];

/** Inputs, one at a time. */
function findInputs(report: Report, subject: Subject, count: number, random: Random): void {
  const base = subject.verify([]);
  const counts = new Map<string, [tried: number, found: number, without: number]>();
  const wrong: string[] = [];
  const sorts = [...sortsOf(subject, random)];
  for (let i = 0; i < count; i++) {
    const [sort, next] = sorts[i % sorts.length] as (typeof sorts)[number];
    const change = next();
    const row = counts.get(sort) ?? [0, 0, 0];
    counts.set(sort, row);
    row[0]++;
    const { findings, text } = subject.verify([change]);
    if (!text || findings.length > base.findings.length) row[1]++;
    else if (base.text && sameBytes(text.text.bytes, base.text.text.bytes)) row[2]++;
    else wrong.push(`${sort}: ${change.name}`);
  }
  for (const [sort, [tried, found, without]] of counts)
    report.say(
      `  ${sort}: ${tried} changed, ${found} found, ${without} on which no byte of the text depends`,
    );
  report.expect(
    wrong.length === 0,
    `${count} changed inputs are found, or change nothing of what the text must be`,
  );
  for (const one of wrong.slice(0, 20)) report.say(`  not found: ${one}`);
}

/** `bits` and `inputs` say how many are changed. */
export async function findChanges(
  report: Report,
  {
    image: path,
    dump,
    modules,
  }: { image?: string | undefined; dump?: string | undefined; modules?: string | undefined },
  bits: number,
  inputs: number,
): Promise<void> {
  if (path === undefined || dump === undefined) throw new Error('--image FILE --dump FILE are required');
  await withImage(path, {}, async (image, _, relocations) => {
    const snapshot = openSnapshot(dump, image, undefined);
    try {
      const place = locateImage(image, snapshot, undefined);
      const running = runningKernel(image, place);
      const text = modules && running ? replayText(image, running, relocations) : undefined;
      const { loader } = text && 'compared' in text ? text : {};
      const files =
        modules && running ? await findModuleFiles(image, running, modules, { loader }) : undefined;
      const subject = new Subject(image, place, relocations, files);
      if (bits > 0) findBits(report, subject, bits, new Random(15, 1));
      if (inputs > 0) findInputs(report, subject, inputs, new Random(15, 2));
    } finally {
      snapshot.close();
    }
  });
}
