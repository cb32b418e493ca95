// .alt.smp.init, the ARM kernel's SMP_ON_UP (arch/arm/include/asm/assembler.h, ALT_SMP and ALT_UP): a site and the
// instruction that one CPU needs there. Before Linux 5.11 the site is an absolute address.
import { code, entryLayout, type TableRow } from '../../bytes/table.ts';
import { SHF_ALLOC } from '../../elf/constants.ts';
import type { Image } from '../../image/image.ts';
import { readImageTable } from '../../image/tables.ts';
import type { OneCpuSite } from './demand.ts';

export const altSmp: TableRow = {
  name: '.alt.smp.init',
  fields: [code('site'), { name: 'replacement', width: 's32', plain: true }],
  flags: SHF_ALLOC,
  addralign: 4,
  entsize: 0,
  mayBeAbsolute: true,
  bounds: [['__smpalt_begin', '__smpalt_end']],
};

/** Bytes of an instruction that is replaced. */
export const replacementSize = 4;

/** Every site of the table in an image. Error `table-malformed`. */
export function readOneCpuSites(image: Image): OneCpuSite[] {
  const [, replacement] = entryLayout(altSmp, image.arch.wordSize).fields;
  return Array.from(readImageTable(image, altSmp), ({ address: at, fields }) => ({
    entry: { address: at },
    address: fields[0] as number,
    replacement: image.read(at + (replacement?.offset ?? 0), replacementSize).slice(),
  }));
}
