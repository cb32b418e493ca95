// What may stand at sites that are explained. An object is linked in memory to know.
import { hex, hexBytes, sameBytes } from '../bytes/integer.ts';
import type { Program } from '../demand/program.ts';
import type { Site } from '../demand/sites.ts';
import type { ElfFile } from '../elf/file.ts';
import { readElf } from '../elf/read.ts';
import type { Disassemblers } from '../engines/disassembler.ts';
import { TextpokeError } from '../errors.ts';
import { Image } from '../image/image.ts';
import type { Kind } from '../kinds/kind.ts';
import { programOf } from '../kinds/registry.ts';
import { placeName } from '../kinds/shown.ts';
import { linkObjects } from '../link/link.ts';
import type { ExplainedSite, ExplainedState, Shown } from './explain-model.ts';

/** The program is read when the first one is asked about. */
export class StatesOf {
  private readonly file: ElfFile;
  private readonly image: Image | undefined;
  private readonly disassemblers: Disassemblers | undefined;
  private known: Program | string | undefined;

  constructor(file: ElfFile, image: Image | undefined, disassemblers: Disassemblers | undefined) {
    this.file = file;
    this.image = image;
    this.disassemblers = disassemblers;
  }

  /** The program of the image, or of the object linked in memory; or why there is none. */
  private get program(): Program | string {
    this.known ??= orWhy(() =>
      programOf(this.image ?? new Image(readElf(this.file.path, linkObjects([this.file]).bytes))),
    );
    return this.known;
  }

  of(
    kind: Kind,
    ordinal: number,
    { place }: Shown,
  ): Pick<ExplainedSite, 'states' | 'statesProblem' | 'changedBy'> {
    const changedBy = !kind.group
      ? 'nothing'
      : kind.forCpus
        ? 'cpus'
        : kind.link?.isTyped === false
          ? 'call'
          : 'key';
    const { program } = this;
    if (typeof program === 'string') return { statesProblem: program, changedBy };
    const site = program.sites.of(kind)[ordinal];
    const name = this.image ? place.address : placeName(place);
    const isIt = site && (this.image ? hex(site.address) : program.image.describe(site.address)) === name;
    if (!isIt) return { statesProblem: 'the site is not found in the program', changedBy };
    const states = orWhy(() => this.statesAt(program, kind, site));
    return typeof states === 'string' ? { statesProblem: states, changedBy } : { states, changedBy };
  }

  private statesAt(program: Program, kind: Kind, site: Site): ExplainedState[] {
    const { image } = program;
    const demand = kind.demand?.(program, site, { state: 'booted' });
    const right = demand && 'right' in demand ? demand.right : undefined;
    return kind.states(program, site, new Map()).map(({ bytes, mask, meaning }) => {
      const disassembler = this.disassemblers?.(image.instructionsAt(site.address));
      const nameOf = (target: number) => image.describe(target);
      const text = mask ? undefined : disassembler?.one(bytes, site.address, nameOf)?.text;
      const there = image.readUpTo(site.address, bytes.length);
      const isThere = bytes.every((byte, i) => ((byte ^ (there[i] ?? ~byte)) & (mask?.[i] ?? 0xff)) === 0);
      return {
        bytes: hexBytes(bytes),
        ...(mask && { mask: hexBytes(mask) }),
        ...(text !== undefined && { text }),
        meaning,
        isThere,
        ...(right && { isRight: right.some((one) => sameBytes(one, bytes)) }),
      };
    });
  }
}

function orWhy<T>(body: () => T): T | string {
  try {
    return body();
  } catch (error) {
    if (error instanceof TextpokeError) return error.message;
    throw error;
  }
}
