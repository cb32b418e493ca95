// The machines that textpoke knows, one row each.
import { TextpokeError } from '../errors.ts';
import { aarch64, aarch64_be } from './aarch64.ts';
import type { Arch } from './arch.ts';
import { x86_64 } from './x86-64.ts';

interface Row {
  readonly arch: Arch;
  readonly little: boolean;
}

export const architectures: readonly Row[] = [
  { arch: x86_64, little: true },
  { arch: aarch64, little: true },
  { arch: aarch64_be, little: false },
];

/** e_machine names for messages about machines that are not supported. */
const machineNames: Readonly<Record<number, string>> = {
  2: 'SPARC',
  3: '80386',
  8: 'MIPS',
  20: 'PowerPC',
  21: 'PowerPC64',
  22: 'S/390',
  40: 'ARM',
  43: 'SPARC V9',
  62: 'x86-64',
  183: 'AArch64',
  243: 'RISC-V',
  247: 'BPF',
  258: 'LoongArch',
};

const order = (little: boolean) => `${little ? 'little' : 'big'}-endian`;

/** The machine of an ELF header; `machine-unsupported` when there is no row for it. */
export function archOf(header: { machine: number; class: 32 | 64; little: boolean }): Arch {
  for (const { arch, little } of architectures) {
    if (arch.machine === header.machine && arch.class === header.class && little === header.little)
      return arch;
  }
  const name = machineNames[header.machine] ?? `machine ${header.machine}`;
  const known = architectures
    .map((row) => `${row.arch.name} (ELF${row.arch.class} ${order(row.little)})`)
    .join(', ');
  throw new TextpokeError(
    'machine-unsupported',
    `the file is ELF${header.class} ${order(header.little)} for ${name}; supported: ${known}`,
  );
}
