// The symbols of an in-memory link: which definition a name means (kernel/module/main.c, simplify_symbols), and those
// that the link makes itself.
import { symbolPlace } from '../arch/code-map.ts';
import { alignUp } from '../bytes/integer.ts';
import {
  SHF_ALLOC,
  SHF_EXECINSTR,
  SHF_WRITE,
  SHT_NOBITS,
  SHT_PROGBITS,
  STB_GLOBAL,
  STB_LOCAL,
  STB_WEAK,
  STT_FUNC,
  STT_NOTYPE,
  STT_OBJECT,
} from '../elf/constants.ts';
import { sectionAbsolute, sectionCommon, sectionUndefined } from '../elf/symbols.ts';
import { TextpokeError } from '../errors.ts';
import { tables } from '../kinds/registry.ts';
import { isTable, type LinkInput, type LinkObject, type Output } from './input.ts';

export interface Definition {
  readonly object: LinkObject;
  readonly symbol: number;
  readonly weak: boolean;
}

/** A symbol made by the link itself: a table's bound, a stub, a common symbol. */
export interface MadeSymbol {
  readonly output: Output;
  readonly offset: number;
  readonly type: number;
  readonly size: number;
}

/** Where stubs of undefined symbols go. */
export const stubSection = '.text.undefined';
const stubSize = 16;
const offsetTableName = '_GLOBAL_OFFSET_TABLE_';

/** The code pointer or address of a symbol that lies outside the link; undefined where there is none. */
export type ExternalSymbols = (name: string) => number | undefined;

export interface ResolvedNames {
  /** Symbols that nothing defines, sorted; each got a stub. */
  readonly undefinedNames: readonly string[];
  /** How many symbols relocations fill fields with, over all objects. */
  readonly referencedCount: number;
}

export class LinkSymbols {
  readonly globals = new Map<string, Definition>();
  readonly made = new Map<string, MadeSymbol>();
  private readonly outside = new Map<string, number>();
  private readonly input: LinkInput;
  private readonly external: ExternalSymbols | undefined;

  constructor(input: LinkInput, external: ExternalSymbols | undefined) {
    this.input = input;
    this.external = external;
  }

  /** Takes in an object's global symbols. Error `link-failed` for a second definition. */
  add(object: LinkObject): void {
    for (let i = object.symbols.firstGlobal; i < object.symbols.count; i++) this.define(object, i);
  }

  /**
   * Makes the symbols that no object defines; all objects are known. Error `link-failed` for what nobody can define.
   */
  resolve(): ResolvedNames {
    this.makeCommons();
    this.makeBounds();
    const { objects, offsetTable } = this.input;
    // Position-independent code calls the table of pointers by this name.
    if (!this.globals.has(offsetTableName)) {
      this.made.set(offsetTableName, { output: offsetTable, offset: 0, type: STT_OBJECT, size: 0 });
    }
    const uses = objects.map((object) => ({ object, ...this.symbolUses(object) }));
    return {
      undefinedNames: this.makeStubs(uses),
      referencedCount: uses.reduce((sum, { filled }) => sum + filled.size, 0),
    };
  }

  private define(object: LinkObject, symbol: number): void {
    const { symbols } = object;
    const section = symbols.section[symbol] as number;
    if (section === sectionUndefined || object.discarded.has(section)) return;
    const name = symbols.name(symbol);
    const definition: Definition = {
      object,
      symbol,
      weak: symbols.binding(symbol) === STB_WEAK || section === sectionCommon,
    };
    const known = this.globals.get(name);
    if (!known || (known.weak && !definition.weak)) this.globals.set(name, definition);
    else if (!known.weak && !definition.weak) {
      throw new TextpokeError('link-failed', `${name} is also defined in ${known.object.file.path}`);
    }
  }

  private makeCommons(): void {
    for (const [name, { object, symbol }] of this.globals) {
      if (object.symbols.section[symbol] !== sectionCommon) continue;
      const bss = this.input.output('.bss', SHF_ALLOC | SHF_WRITE, SHT_NOBITS);
      const align = Math.max(object.symbols.value[symbol] as number, 1);
      const size = object.symbols.size[symbol] as number;
      bss.align = Math.max(bss.align, align);
      const offset = alignUp(bss.size, align);
      bss.size = offset + size;
      this.made.set(name, { output: bss, offset, type: STT_OBJECT, size });
    }
  }

  /** The linker symbols of every table, and `__start_`/`__stop_` of sections whose names are C identifiers. */
  private makeBounds(): void {
    for (const output of this.input.outputs.values()) {
      const row = tables.find((table) => table.name === output.name);
      const isIdentifier = /^[A-Za-z_]\w*$/.test(output.name);
      const named =
        row?.bounds ?? (isIdentifier ? [[`__start_${output.name}`, `__stop_${output.name}`] as const] : []);
      for (const [start, stop] of named) {
        const bound = { output, type: STT_NOTYPE, size: 0 };
        if (!this.globals.has(start)) this.made.set(start, { ...bound, offset: 0 });
        if (!this.globals.has(stop)) this.made.set(stop, { ...bound, offset: output.size });
      }
    }
  }

  /** Symbols by what names them: relocations that fill a field (markers do not), and tables. */
  private symbolUses(object: LinkObject): { filled: Set<number>; listed: Set<number> } {
    const filled = new Set<number>();
    const listed = new Set<number>();
    for (const { section } of object.pieces.values()) {
      // What a loader has carried out already is not carried out again.
      if (!this.input.fills(section)) continue;
      const listsSymbols = isTable(section);
      for (const table of object.file.relocationSections(section.index)) {
        const relocations = object.file.relocations(table);
        for (let i = 0; i < relocations.count; i++) {
          if (relocations.type[i] === this.input.arch.relocations.none) continue;
          filled.add(relocations.symbol[i] as number);
          if (listsSymbols) listed.add(relocations.symbol[i] as number);
        }
      }
    }
    return { filled, listed };
  }

  /** A stub that traps for each function that no object defines; a key cannot be left out like that. */
  private makeStubs(
    uses: readonly { object: LinkObject; filled: Set<number>; listed: Set<number> }[],
  ): readonly string[] {
    const names = new Set<string>();
    for (const { object, filled, listed } of uses) {
      const { symbols } = object;
      for (const symbol of filled) {
        const name = symbols.name(symbol);
        const missing = symbols.isUndefined(symbol) && !this.globals.has(name) && !this.made.has(name);
        if (!missing) continue;
        const address = this.external?.(name);
        if (address !== undefined) this.outside.set(name, address);
        if (address !== undefined || symbols.binding(symbol) !== STB_GLOBAL) continue;
        if (listed.has(symbol) && !this.external) {
          throw new TextpokeError('link-failed', `${name} is a key, but no object defines it`, {
            file: object.file.path,
          });
        }
        names.add(name);
      }
    }
    const sorted = [...names].sort();
    if (this.external && sorted.length > 0) {
      throw new TextpokeError('link-failed', `unknown symbol ${sorted.join(', ')}`, {
        file: this.input.objects[0]?.file.path,
      });
    }
    for (const name of sorted) {
      const stubs = this.input.output(stubSection, SHF_ALLOC | SHF_EXECINSTR, SHT_PROGBITS);
      stubs.align = stubSize;
      this.made.set(name, { output: stubs, offset: stubs.size, type: STT_FUNC, size: stubSize });
      stubs.size += stubSize;
    }
    return sorted;
  }

  /** True for a symbol of one object that names a function in Thumb state. */
  isThumb(object: LinkObject, symbol: number): boolean {
    if (!this.input.arch.thumbBit) return false;
    const { symbols } = object;
    if (symbols.binding(symbol) !== STB_LOCAL) {
      const name = symbols.name(symbol);
      const definition = this.made.has(name) ? undefined : this.globals.get(name);
      if (!definition) return (this.outside.get(name) ?? 0) % 2 !== 0;
      if (definition.object !== object || definition.symbol !== symbol)
        return this.isThumb(definition.object, definition.symbol);
    }
    return symbolPlace(this.input.arch, symbols, symbol) !== symbols.value[symbol];
  }

  /** True for a symbol whose value is a number, which does not move with code: it names no place, or none at all. */
  isNumber(object: LinkObject, symbol: number): boolean {
    const { symbols } = object;
    if (symbol === 0) return true;
    const name = symbols.name(symbol);
    const isLocal = symbols.binding(symbol) === STB_LOCAL;
    const definition = isLocal || this.made.has(name) ? undefined : this.globals.get(name);
    if (isLocal || definition) {
      const of = definition ?? { object, symbol };
      return of.object.symbols.section[of.symbol] === sectionAbsolute;
    }
    return !this.made.has(name) && !this.outside.has(name);
  }

  /** The value of a symbol of one object after the link; undefined for one in a discarded section. */
  addressOf(object: LinkObject, symbol: number): number | undefined {
    const { symbols } = object;
    const section = symbols.section[symbol] as number;
    if (symbol === 0) return 0;
    if (symbols.binding(symbol) !== STB_LOCAL) {
      const name = symbols.name(symbol);
      const made = this.made.get(name);
      if (made) return made.output.address + made.offset;
      const definition = this.globals.get(name);
      if (!definition && this.outside.has(name)) return this.outside.get(name);
      if (!definition)
        return symbols.binding(symbol) === STB_WEAK || section === sectionUndefined ? 0 : undefined;
      if (definition.object !== object || definition.symbol !== symbol) {
        return this.addressOf(definition.object, definition.symbol);
      }
    }
    if (section === sectionAbsolute) return symbols.value[symbol] as number;
    const piece = object.pieces.get(section);
    return piece && piece.output.address + piece.offset + (symbols.value[symbol] as number);
  }
}
