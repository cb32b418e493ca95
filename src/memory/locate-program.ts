// Finds a program or a shared library in a dump: where notes, the dynamic linker and ELF headers say that it may be,
// and what is there has to be it.
import { basename } from 'node:path';
import { hex } from '../bytes/integer.ts';
import { PT_LOAD } from '../elf/constants.ts';
import { isElf } from '../elf/magic.ts';
import { TextpokeError } from '../errors.ts';
import type { Image } from '../image/image.ts';
import { buildIdAt, compareIdentity, type Identity, identityOf } from './identity.ts';
import { loadedObjects } from './link-map.ts';
import { bytesAt, type ImagePlace, type Memory, type Snapshot } from './memory.ts';
import type { ProcessNotes } from './process.ts';

interface Candidate {
  readonly slide: number;
  readonly from: string;
  /** True where a name or the process says so: it counts even if the dump lacks what would prove it. */
  readonly isTold: boolean;
}

/** Runs whose first bytes are looked at for an ELF header: as many as a process has mappings (vm.max_map_count). */
const mostRuns = 65536;

/** Where the dump has the image. Errors: `memory-unsupported`, `memory-mismatch`. */
export function locateProgram(image: Image, snapshot: Snapshot, slide: number | undefined): ImagePlace {
  const memory = snapshot.memories.find(({ addresses }) => addresses === 'virtual');
  if (!memory) {
    throw new TextpokeError(
      'memory-unsupported',
      'the image is not a kernel, and the dump has no virtual addresses; they are required to find the image',
    );
  }
  const identity = identityOf(image.file);
  const { process } = snapshot;
  const tried = new Set<number>();
  let told: Candidate | undefined;
  let other: Candidate | undefined;
  const all =
    slide === undefined
      ? candidates(image, identity, memory, process)
      : [{ slide, from: '--slide', isTold: true }];
  for (const candidate of all) {
    if (!Number.isSafeInteger(candidate.slide) || tried.has(candidate.slide)) continue;
    tried.add(candidate.slide);
    const verdict = compareIdentity(identity, memory, candidate.slide);
    if (verdict === 'same') return placeAt(memory, candidate);
    if (!candidate.isTold) continue;
    if (verdict === 'other') other ??= candidate;
    else told ??= candidate;
  }
  if (told) return placeAt(memory, told);
  throw new TextpokeError('memory-mismatch', describeOther(image, identity, memory, process, other));
}

function placeAt(memory: Memory, { slide, from }: Candidate): ImagePlace {
  const none = { kernelMemory: undefined, kernelMemoryFrom: 'the image is no kernel' };
  return { memory, offset: slide, slide, slideFrom: from, ...none };
}

/** Places where the image may be, the most likely first. */
function* candidates(
  image: Image,
  { start }: Identity,
  memory: Memory,
  process: ProcessNotes | undefined,
): Generator<Candidate> {
  const { header, path } = image.file;
  const isNamed = (name: string) => basename(name.replace(/ \(deleted\)$/, '')) === basename(path);
  const { entry, files = [] } = process ?? {};
  const isMapped = files.some(({ name }) => isNamed(name));
  if (!image.isPositionIndependent) {
    const isTold = files.length > 0 ? isMapped : entry === undefined || entry === header.entry;
    yield { slide: 0, from: 'the link address', isTold };
    return;
  }
  if (process && entry !== undefined) {
    const mapped = files.find((file) => entry >= file.start && entry < file.end);
    const moved = entry - header.entry;
    if (moved % 4096 === 0)
      yield {
        slide: moved,
        from: process.words.entry,
        isTold: mapped ? isNamed(mapped.name) : files.length === 0,
      };
  }
  // Where the first bytes of a file are mapped. Of a file that begins elsewhere in memory, nothing is known by that.
  const linked =
    start ?? image.file.segments.find(({ type, offset }) => type === PT_LOAD && offset < 4096)?.vaddr;
  const first = linked === undefined ? Number.NaN : linked - (((linked % 4096) + 4096) % 4096);
  for (const file of files) {
    if (process && file.offset === 0)
      yield { slide: file.start - first, from: process.words.files, isTold: isNamed(file.name) };
  }
  if (process) {
    for (const { slide, name } of loadedObjects(memory, process, header))
      yield { slide, from: 'the link map of the process', isTold: isNamed(name) };
  }
  for (const at of memory.runs.starts.subarray(0, mostRuns)) {
    const magic = bytesAt(memory, at, 4);
    if (magic && isElf(magic)) yield { slide: at - first, from: 'an ELF header in the dump', isTold: false };
  }
  if (!process) yield { slide: 0, from: 'the link address', isTold: true };
}

function describeOther(
  image: Image,
  { buildId, start }: Identity,
  memory: Memory,
  process: ProcessNotes | undefined,
  other: Candidate | undefined,
): string {
  const own = buildId === undefined ? '' : `; the image has build id ${buildId}`;
  if (other) {
    const found = start === undefined ? undefined : buildIdAt(memory, start + other.slide, image.file.header);
    const what = found === undefined ? 'other bytes' : `build id ${found}`;
    return `the dump has another image or another build where ${other.from} leads, at a slide of ${hex(other.slide)}: ${what}${own}`;
  }
  const { entry, files = [] } = process ?? {};
  const program = files.find((file) => entry !== undefined && entry >= file.start && entry < file.end)?.name;
  const of = program === undefined ? '' : `; it is of ${JSON.stringify(program)}`;
  return `the dump does not contain the image${of}${own}; if the dump has it nevertheless, --slide says where`;
}
