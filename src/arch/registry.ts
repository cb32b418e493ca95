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
  readonly little: boolean;
  /** Bits of e_flags that tell this row from others, and what they are in it. */
  readonly flags?: { readonly mask: number; readonly value: number };
}

export const architectures: readonly Row[] = [
  { arch: x86_64, little: true },
  { arch: aarch64, little: true },
  { arch: aarch64_be, little: false },
  { arch: arm, little: true, flags: { mask: EF_ARM_BE8, value: 0 } },
  { arch: arm_be8, little: false, flags: { mask: EF_ARM_BE8, value: EF_ARM_BE8 } },
  { arch: arm_be32, little: false, flags: { mask: EF_ARM_BE8, value: 0 } },
];

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
