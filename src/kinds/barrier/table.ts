// .smp_barriers, textpoke's own: barriers that one CPU does not need, on ARM (annotate --smp-barriers), s32 barrier.
import { code, type TableRow } from '../../bytes/table.ts';
import { SHF_ALLOC } from '../../elf/constants.ts';

export const smpBarriers: TableRow = {
  name: '.smp_barriers',
  fields: [code('barrier')],
  flags: SHF_ALLOC,
  addralign: 4,
  entsize: 0,
  bounds: [['__smp_barriers', '__smp_barriers_end']],
};
