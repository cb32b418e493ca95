// Decodes the parts of entries as every row of kinds/ asks for them, from an object or an image alike.
import type { InstructionSet, SiteInstruction } from '../arch/arch.ts';
import { hexBytes } from '../bytes/integer.ts';
import type { SourceLine } from '../dwarf/source-line.ts';
import type { Disassemblers } from '../engines/disassembler.ts';
import { type DumpedInstruction, type DumpedPlace, type EntryReader, placeName } from '../kinds/shown.ts';
import type { KeyOwners } from './key-owners.ts';
import type { TableView } from './view.ts';

export class ViewReader<Place> implements EntryReader<Place> {
  private readonly view: TableView<Place>;
  private readonly filter: ((key: DumpedPlace) => boolean) | undefined;
  private readonly disassembler: Disassemblers | undefined;
  private readonly lineOf: (place: Place) => SourceLine | undefined;
  private readonly owners: KeyOwners<Place>;
  private readonly isSurvey: boolean;

  /**
   * `lineOf` is asked for the line of each place in code, once for each time that an entry names one. In a survey nothing is
   * shown: it finds out the owners of keys, which are named in each pass after it, and whatever cannot be read, so that
   * nothing is printed in front of an error.
   */
  constructor(
    view: TableView<Place>,
    {
      filter,
      disassembler,
      lineOf,
      owners,
      isSurvey = false,
    }: {
      readonly filter: ((key: DumpedPlace) => boolean) | undefined;
      readonly disassembler?: Disassemblers | undefined;
      readonly lineOf: (place: Place) => SourceLine | undefined;
      readonly owners: KeyOwners<Place>;
      readonly isSurvey?: boolean;
    },
  ) {
    this.view = view;
    this.filter = filter;
    this.disassembler = disassembler;
    this.lineOf = lineOf;
    this.owners = owners;
    this.isSurvey = isSurvey;
  }

  code(place: Place): DumpedPlace {
    const named = this.view.place(place);
    const line = this.lineOf(place);
    return line ? { ...named, ...line } : named;
  }

  data(place: Place): DumpedPlace {
    return this.view.place(place);
  }

  isInit(place: Place): boolean {
    return this.view.isInit(place);
  }

  accepts(key: DumpedPlace): boolean {
    return this.filter?.(key) ?? true;
  }

  key(value: Place): { readonly key: DumpedPlace; readonly flags: number } | undefined {
    const { key, flags } = this.view.splitKey(value);
    const named = this.keyPlace(key);
    return this.accepts(named) ? { key: named, flags } : undefined;
  }

  keyPlace(key: Place): DumpedPlace {
    const named = this.view.place(key);
    if (!this.isSurvey) return this.owners.withOwner(key, named);
    this.owners.note(key, named);
    return named;
  }

  instruction(place: Place): { instruction?: DumpedInstruction; problem?: string } {
    const { view } = this;
    const at = view.codeAt(place);
    if (!at) return view.unreadable === undefined ? { problem: 'the site is not in code' } : {};
    const { instructions } = at;
    const { kind, size } = instructions.readInstruction(at.code, at.offset, at.address);
    const to = view.branchTarget(place);
    const target = to === undefined ? undefined : placeName(view.place(to));
    const line = this.disassembler?.(instructions).one(at.code.subarray(at.offset), at.address, () => target);
    const shown = at.code.subarray(at.offset, at.offset + (size || line?.size || instructions.maxSite));
    const text = line?.text ?? shortText(instructions, kind, target);
    return { instruction: { bytes: hexBytes(shown), kind, text } };
  }

  replaced(place: Place, replacement: Uint8Array): ReturnType<EntryReader<Place>['replaced']> {
    const { view } = this;
    const at = view.codeAt(place);
    const data = view.unreadable === undefined ? view.dataAt(place, replacement.length) : undefined;
    if (data) return { instruction: dataWord(data), replacement: dataWord(replacement) };
    return {
      ...this.instruction(place),
      ...(at && { replacement: this.instructionOf(at.instructions, replacement, at.address) }),
    };
  }

  byte(place: Place): { byte: string } | { problem: string } {
    const at = this.view.codeAt(place);
    if (!at) return { problem: 'the place is not in code' };
    return { byte: hexBytes(at.code.subarray(at.offset, at.offset + 1)) };
  }

  /** An instruction that stands nowhere yet, as it would read at `address`. */
  private instructionOf(instructions: InstructionSet, bytes: Uint8Array, address: number): DumpedInstruction {
    const { kind } = instructions.readInstruction(bytes, 0);
    const text = this.disassembler?.(instructions).one(bytes, address)?.text ?? kind;
    return { bytes: hexBytes(bytes), kind, text };
  }
}

function dataWord(bytes: Uint8Array): DumpedInstruction {
  return { bytes: hexBytes(bytes), kind: 'data', text: 'data' };
}

/** What stands for the disassembly where capstone is not asked. */
function shortText(
  { mnemonics }: InstructionSet,
  kind: SiteInstruction['kind'],
  target: string | undefined,
): string {
  switch (kind) {
    case 'call':
    case 'jump':
    case 'conditional jump':
      return `${mnemonics[kind]} ${target}`;
    case 'return':
      return 'ret';
    default:
      return kind;
  }
}
