// ELF cores: of a program, of a machine by virtual addresses (QEMU's dump-guest-memory with paging), by physical
// ones (without), or by both (/proc/vmcore). Segments are held as columns of numbers: there may be millions.
import { toAddress } from '../bytes/integer.ts';
import { ByteView } from '../bytes/view.ts';
import { constantName, fileTypes, machineName } from '../elf/constant-names.ts';
import { ET_CORE, PT_LOAD, PT_NOTE } from '../elf/constants.ts';
import type { ElfHeader } from '../elf/header.ts';
import { type Note, notesIn } from '../elf/notes.ts';
import { type ProgramHeaders, readProgramHeaders } from '../elf/read.ts';
import { TextpokeError } from '../errors.ts';
import type { ByteSource } from '../files/source.ts';
import type { AddressKind, Memory, Snapshot } from './memory.ts';
import { processNotes } from './process.ts';
import { forEachPiece, layOut, runsOf } from './stretches.ts';

/** Bytes of notes that are read: those of the process and of the kernel precede those of thousands of threads. */
const mostNotes = 16 << 20;

/**
 * Reads a core's frame. Errors: `elf-truncated`, `elf-malformed`, `memory-unsupported`, `memory-malformed`,
 * `memory-mismatch` for another machine's.
 */
export function readCore(path: string, source: ByteSource, image: ElfHeader): Snapshot {
  const headers = readProgramHeaders(path, source);
  requireCoreOf(headers.header, image, path);
  const { count, field } = headers;
  const columns = { vaddr: new Float64Array(count), paddr: new Float64Array(count) };
  const sizes = new Float64Array(count);
  const offsets = new Float64Array(count);
  let loads = 0;
  for (let i = 0; i < count; i++) {
    if (field(i, 'type') !== PT_LOAD) continue;
    const size = sizeInFile(source, headers, i);
    const vaddr = toAddress(field(i, 'vaddr'));
    const paddr = toAddress(field(i, 'paddr'));
    // No machine has memory where a number cannot count its bytes.
    if (!(size > 0) || !Number.isSafeInteger(vaddr + size) || !Number.isSafeInteger(paddr + size)) continue;
    columns.vaddr[loads] = vaddr;
    columns.paddr[loads] = paddr;
    sizes[loads] = size;
    offsets[loads++] = field(i, 'offset');
  }
  const memory = (addresses: AddressKind, starts: Float64Array): Memory => {
    const stretches = layOut({
      starts: starts.subarray(0, loads),
      sizes: sizes.subarray(0, loads),
      offsets: offsets.subarray(0, loads),
    });
    return {
      format: `an ELF core by ${addresses} addresses`,
      addresses,
      fileSize: source.size,
      runs: runsOf(stretches),
      read: (address, into) =>
        forEachPiece(stretches, address, into.length, (offset, at, length) =>
          into.set(source.read(offset, length), at),
        ),
    };
  };
  const { vaddr, paddr } = columns;
  const some = (holds: (i: number) => boolean) => sizes.subarray(0, loads).some((_, i) => holds(i));
  // QEMU without paging leaves p_vaddr 0, or repeats p_paddr there; a program's core has no physical addresses.
  const hasVirtual = some((i) => vaddr[i] !== 0 && vaddr[i] !== paddr[i]);
  const hasPhysical = some((i) => paddr[i] !== 0) || !hasVirtual;
  const notes = readNotes(source, headers);
  const vmcoreinfo = notes.find(({ name }) => name === 'VMCOREINFO');
  return {
    vmcoreinfo: vmcoreinfo && Buffer.from(vmcoreinfo.body).toString('latin1'),
    process: processNotes(notes, headers.header),
    memories: [
      ...(hasVirtual ? [memory('virtual', vaddr)] : []),
      ...(hasPhysical ? [memory('physical', paddr)] : []),
    ],
  };
}

function requireCoreOf(header: ElfHeader, image: ElfHeader, file: string): void {
  if (header.type !== ET_CORE) {
    throw new TextpokeError(
      'memory-unsupported',
      `e_type is ${constantName(fileTypes, header.type)}; ET_CORE is required, and a raw dump needs --base`,
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
