// ELF cores: of a program, of a machine by virtual addresses (QEMU's dump-guest-memory with paging), by physical
// ones (without), or by both (/proc/vmcore). Segments are held as columns of numbers: there may be millions.
import { toAddress } from '../bytes/integer.ts';
import { ByteView } from '../bytes/view.ts';
import { constantName, fileTypes, machineName } from '../elf/constant-names.ts';
import { ET_CORE, PT_LOAD, PT_NOTE } from '../elf/constants.ts';
import { readProgramHeaders } from '../elf/read.ts';
import { TextpokeError } from '../errors.ts';
import type { ByteSource } from '../files/source.ts';
import {
  type AddressKind,
  forEachPiece,
  type Memory,
  runsOf,
  type Snapshot,
  type Stretches,
  sortStretches,
} from './memory.ts';

const NT_AUXV = 6;
const AT_ENTRY = 9;
/** A damaged note segment must not ask for more. */
const longestNotes = 16 << 20;

/** Reads a core's frame. Errors: `elf-truncated`, `elf-malformed`, `machine-unsupported` for another machine's. */
export function readCore(path: string, source: ByteSource, machine: number): Snapshot {
  const { header, count, field } = readProgramHeaders(path, source);
  if (header.type !== ET_CORE) {
    throw new TextpokeError(
      'memory-unsupported',
      `e_type is ${constantName(fileTypes, header.type)}; ET_CORE is required, and a raw dump needs --base`,
      {
        file: path,
      },
    );
  }
  if (header.machine !== machine) {
    throw new TextpokeError(
      'memory-mismatch',
      `the dump is for ${machineName(header.machine)}, but the image is for ${machineName(machine)}`,
      { file: path },
    );
  }
  const columns = { vaddr: new Float64Array(count), paddr: new Float64Array(count) };
  const sizes = new Float64Array(count);
  const offsets = new Float64Array(count);
  let loads = 0;
  const facts: { vmcoreinfo: string | undefined; entry: number | undefined } = {
    vmcoreinfo: undefined,
    entry: undefined,
  };
  for (let i = 0; i < count; i++) {
    const type = field(i, 'type');
    const offset = field(i, 'offset');
    const size = Math.max(0, Math.min(field(i, 'filesz'), source.size - offset)); // cut off: the rest is missing
    if (type === PT_NOTE) readNotes(source, offset, size, header, facts);
    const vaddr = toAddress(field(i, 'vaddr'));
    const paddr = toAddress(field(i, 'paddr'));
    if (type !== PT_LOAD || !(size > 0) || Number.isNaN(vaddr) || Number.isNaN(paddr)) continue;
    columns.vaddr[loads] = vaddr;
    columns.paddr[loads] = paddr;
    sizes[loads] = size;
    offsets[loads++] = offset;
  }
  const memory = (addresses: AddressKind, starts: Float64Array): Memory => {
    const stretches: Stretches = sortStretches({
      starts: starts.slice(0, loads),
      sizes: sizes.slice(0, loads),
      offsets: offsets.slice(0, loads),
    });
    return {
      format: `an ELF core by ${addresses} addresses`,
      addresses,
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
  return {
    ...facts,
    memories: [
      ...(hasVirtual ? [memory('virtual', vaddr)] : []),
      ...(hasPhysical ? [memory('physical', paddr)] : []),
    ],
  };
}

function readNotes(
  source: ByteSource,
  offset: number,
  size: number,
  { class: bits, little }: { class: 32 | 64; little: boolean },
  facts: { vmcoreinfo: string | undefined; entry: number | undefined },
): void {
  if (!(size > 0)) return;
  const view = new ByteView(source.read(offset, Math.min(size, longestNotes)), little);
  const end = view.bytes.length;
  for (let at = 0; at + 12 <= end; ) {
    const nameSize = view.u32(at);
    const bodySize = view.u32(at + 4);
    const body = at + 12 + Math.ceil(nameSize / 4) * 4;
    if (body + bodySize > end) return;
    const name = Buffer.from(view.bytes.subarray(at + 12, at + 12 + nameSize)).toString('latin1');
    if (name.startsWith('VMCOREINFO'))
      facts.vmcoreinfo = Buffer.from(view.bytes.subarray(body, body + bodySize)).toString('latin1');
    else if (name === 'CORE\0' && view.u32(at + 8) === NT_AUXV) {
      const word = bits / 8;
      const read = (from: number) => (word === 8 ? view.s64(from) : view.u32(from));
      for (let pair = body; pair + 2 * word <= body + bodySize; pair += 2 * word)
        if (read(pair) === AT_ENTRY) facts.entry = read(pair + word);
    }
    at = body + Math.ceil(bodySize / 4) * 4;
  }
}
