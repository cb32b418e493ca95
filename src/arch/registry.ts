// The machines that textpoke knows, one row each.
import { hex } from '../bytes/integer.ts';
import { machineName } from '../elf/constant-names.ts';
import { EF_ARM_BE8 } from '../elf/constants.ts';
import { TextpokeError } from '../errors.ts';
import { aarch64, aarch64_be } from './aarch64/aarch64.ts';
import type { Arch } from './arch.ts';
import { arm, arm_be8, arm_be32 } from './arm/arm.ts';
import { x86_64 } from './x86-64/x86-64.ts';

interface Row {
  readonly arch: Arch;
  /** What people and compilers call it, beside `arch.name`. */
  readonly names: readonly [string, ...string[]];
  readonly little: boolean;
  /** Bits of e_flags that tell this row from others, and what they are in it. */
  readonly flags?: { readonly mask: number; readonly value: number };
}

export const architectures: readonly Row[] = [
  { arch: x86_64, names: ['x86-64', 'x86_64', 'amd64', 'x64'], little: true },
  { arch: aarch64, names: ['aarch64', 'arm64'], little: true },
  { arch: aarch64_be, names: ['aarch64_be', 'arm64be'], little: false },
  {
    arch: arm,
    names: ['arm', 'arm32', 'armhf', 'armel', 'armv7', 'armv7l', 'armv7a', 'thumb'],
    little: true,
    flags: { mask: EF_ARM_BE8, value: 0 },
  },
  {
    arch: arm_be8,
    names: ['armeb', 'armv7b', 'armbe8'],
    little: false,
    flags: { mask: EF_ARM_BE8, value: EF_ARM_BE8 },
  },
  { arch: arm_be32, names: ['armbe32'], little: false, flags: { mask: EF_ARM_BE8, value: 0 } },
];

/** A machine by a name in any case, or by a compiler's target (`aarch64-linux-gnu`). Error `usage`, with the names. */
export function archNamed(text: string): Arch {
  const wanted = text.toLowerCase().replace(/(?<!^x86)-.*$/, '');
  const row = architectures.find(
    ({ arch, names }) => arch.name.toLowerCase() === text.toLowerCase() || names.includes(wanted),
  );
  if (row) return row.arch;
  const known = architectures.map(({ names }) => names[0]).join(', ');
  throw new TextpokeError('usage', `unknown machine ${text}; known machines: ${known}`);
}

/** The short name of what has the instructions of a machine, in either byte order. */
export function familyOf({ machine }: Arch): string {
  return (architectures.find(({ arch }) => arch.machine === machine) as Row).names[0];
}

const order = (little: boolean) => `${little ? 'little' : 'big'}-endian`;

/** What an ELF header says of its machine. */
interface MachineHeader {
  readonly machine: number;
  readonly class: 32 | 64;
  readonly little: boolean;
  readonly flags: number;
}

function matches({ arch, little, flags }: Row, header: MachineHeader): boolean {
  if (arch.machine !== header.machine || arch.class !== header.class || little !== header.little)
    return false;
  return flags === undefined || (header.flags & flags.mask) === flags.value;
}

/** The machine of an ELF header; `machine-unsupported` when there is no row for it. */
export function archOf(header: MachineHeader): Arch {
  const row = architectures.find((candidate) => matches(candidate, header));
  if (row) return row.arch;
  const known = architectures
    .map(({ arch, little }) => `${arch.name} (ELF${arch.class} ${order(little)})`)
    .join(', ');
  throw new TextpokeError(
    'machine-unsupported',
    `the file is ELF${header.class} ${order(header.little)} for ${machineName(header.machine)} with e_flags ${hex(header.flags)}; ` +
      `supported: ${known}`,
  );
}
