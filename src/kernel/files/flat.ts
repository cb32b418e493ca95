import type { ElfFile } from '../../elf/file.ts';
import type { Kallsyms } from '../kallsyms.ts';
import type { AddedSymbol } from '../symbol-table.ts';
import type { UnpackedKernel } from './unpack.ts';
export function flatKernel(
  _name: string,
  _unpacked: UnpackedKernel,
): { elf: ElfFile; kallsyms: Kallsyms; added: AddedSymbol[]; thumb: boolean } {
  throw new Error('later');
}
