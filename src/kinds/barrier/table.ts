// .smp_barriers, textpoke's own: barriers that one CPU does not need, on ARM (annotate --smp-barriers), s32 barrier.
import { placesTable } from '../places-table.ts';

export const smpBarriers = placesTable('.smp_barriers', 'barrier', ['__smp_barriers', '__smp_barriers_end']);
