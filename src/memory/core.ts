// ELF cores: of a program, of a machine by virtual addresses (QEMU's dump-guest-memory with paging), by physical
// ones (without), or by both (/proc/vmcore). Segments are held as columns of numbers: there may be millions.
import { ByteView } from '../bytes/view.ts';
import { constantName, fileTypes, machineName } from '../elf/constant-names.ts';
import { ET_CORE, PT_LOAD, PT_NOTE } from '../elf/constants.ts';
import type { ElfHeader } from '../elf/header.ts';
import { type Note, notesIn } from '../elf/notes.ts';
import { type ProgramHeaders, readProgramHeaders } from '../elf/read.ts';
import { TextpokeError } from '../errors.ts';
import type { ByteSource } from '../files/source.ts';
import { type AddressKind, liveMemory, type Memory, type Snapshot } from './memory.ts';
import { processNotes } from './process.ts';
import { layOut, memoryIn } from './stretches.ts';

/** Bytes of notes that are read: those of the process and of the kernel precede those of thousands of threads. */
const mostNotes = 16 << 20;

/** Addresses of five levels of page tables have 57 bits. */
const largestAddress = 2 ** 56;

/** Segments that have bytes in the file, as columns. */
interface Loads {
  readonly vaddr: Float64Array;
  readonly paddr: Float64Array;
  readonly sizes: Float64Array;
  readonly offsets: Float64Array;
}

/**
 * Reads a core's frame. Errors: `elf-truncated`, `elf-malformed`, `memory-unsupported`, `memory-malformed`,
 * `memory-mismatch` for another machine's.
 */
export function readCore(path: string, source: ByteSource, image: ElfHeader): Snapshot {
  const headers = readProgramHeaders(path, source);
  requireCoreOf(headers.header, image, path);
  const loads = loadsOf(source, headers);
  const { vaddr, paddr } = loads;
  // QEMU without paging leaves p_vaddr 0, or repeats p_paddr there; a program's core has no physical addresses.
  const hasVirtual = vaddr.some((address, i) => address !== 0 && address !== paddr[i]);
  const hasPhysical = paddr.some((address) => address !== 0) || !hasVirtual;
  const notes = readNotes(source, headers);
  return {
    vmcoreinfo: vmcoreinfoIn(notes),
    process: processNotes(notes, headers.header),
    memories: [
      ...(hasVirtual ? [memoryOf(source, 'virtual', loads)] : []),
      ...(hasPhysical ? [memoryOf(source, 'physical', loads)] : []),
    ],
  };
}

/**
 * The same for /proc/kcore (fs/proc/kcore.c), the memory of the machine itself. It says that it has all that could be
 * mapped, 128 TiB of it, so nothing is searched for; what cannot be read is missing. Errors as `readCore`.
 */
export function readKcore(path: string, source: ByteSource, image: ElfHeader): Snapshot {
  const headers = readProgramHeaders(path, source);
  requireCoreOf(headers.header, image, path);
  const memory = memoryOf(source, 'virtual', loadsOf(source, headers));
  const none = new Float64Array(0);
  return {
    vmcoreinfo: vmcoreinfoIn(readNotes(source, headers)),
    process: undefined,
    memories: [
      liveMemory({
        ...memory,
        format: 'the memory of the running machine',
        runs: { starts: none, ends: none },
      }),
    ],
  };
}

function loadsOf(source: ByteSource, headers: ProgramHeaders): Loads {
  const { count, field, address } = headers;
  const columns = Array.from({ length: 4 }, () => new Float64Array(count));
  const [vaddr, paddr, sizes, offsets] = columns as [Float64Array, Float64Array, Float64Array, Float64Array];
  let loads = 0;
  for (let i = 0; i < count; i++) {
    if (field(i, 'type') !== PT_LOAD) continue;
    const size = sizeInFile(source, headers, i);
    const starts = [address(i, 'vaddr'), address(i, 'paddr')] as const;
    // No machine has memory where a number cannot count its bytes.
    const isSound = (start: number) =>
      Number.isSafeInteger(start + size) ||
      (Math.abs(start) <= largestAddress && start % 8 === 0 && size % 8 === 0);
    if (!(size > 0) || !starts.every(isSound)) continue;
    [vaddr[loads], paddr[loads]] = starts;
    sizes[loads] = size;
    offsets[loads++] = field(i, 'offset');
  }
  const some = (column: Float64Array) => column.subarray(0, loads);
  return { vaddr: some(vaddr), paddr: some(paddr), sizes: some(sizes), offsets: some(offsets) };
}

function memoryOf(source: ByteSource, addresses: AddressKind, loads: Loads): Memory {
  const { vaddr, paddr, offsets } = loads;
  // -1 stands for no physical address.
  const sizes =
    addresses === 'virtual'
      ? loads.sizes
      : loads.sizes.map((size, i) => ((paddr[i] as number) < 0 ? 0 : size));
  const stretches = layOut({ starts: addresses === 'virtual' ? vaddr : paddr, sizes, offsets });
  return memoryIn(source, stretches, { format: `an ELF core by ${addresses} addresses`, addresses });
}

function vmcoreinfoIn(notes: readonly Note[]): string | undefined {
  const note = notes.find(({ name }) => name === 'VMCOREINFO');
  return note && Buffer.from(note.body).toString('latin1');
}

function requireCoreOf(header: ElfHeader, image: ElfHeader, file: string): void {
  if (header.type !== ET_CORE) {
    throw new TextpokeError(
      'memory-unsupported',
      `e_type is ${constantName(fileTypes, header.type)}; ET_CORE is required, and a raw image needs --physical or --base`,
      { file },
    );
  }
  const describe = ({ machine, class: bits, little }: ElfHeader) =>
    `${machineName(machine)}, ${bits} bits, ${little ? 'little' : 'big'}-endian`;
  if (describe(header) !== describe(image)) {
    throw new TextpokeError(
      'memory-mismatch',
      `the dump is for ${describe(header)}, but the image is for ${describe(image)}`,
      { file },
    );
  }
}

/** Bytes that the file has of a segment: what is cut off is missing. */
function sizeInFile(source: ByteSource, { field }: ProgramHeaders, i: number): number {
  const offset = field(i, 'offset');
  return offset >= 0 ? Math.max(0, Math.min(field(i, 'filesz'), source.size - offset)) : 0;
}

/** The notes that say something of the process or of the kernel. Error `memory-malformed`. */
function readNotes(source: ByteSource, headers: ProgramHeaders): Note[] {
  const { count, field, header } = headers;
  const notes: Note[] = [];
  let sum = 0;
  for (let i = 0; i < count; i++) {
    const size = field(i, 'type') === PT_NOTE ? sizeInFile(source, headers, i) : 0;
    if (!(size > 0)) continue;
    const rest = mostNotes - sum;
    sum += size;
    if (sum > source.size) {
      throw new TextpokeError(
        'memory-malformed',
        `the notes of the core have more bytes than the file, which has ${source.size}`,
        { offset: field(i, 'offset') },
      );
    }
    if (rest <= 0) continue;
    const view = new ByteView(source.read(field(i, 'offset'), Math.min(size, rest)), header.little);
    for (const note of notesIn(view))
      if (note.name === 'CORE' || note.name === 'VMCOREINFO') notes.push(note);
  }
  return notes;
}
