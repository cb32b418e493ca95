// The trampolines and keys of one object, and which belong together.
import type { SectionNumber, SymbolNumber } from '../bytes/named-numbers.ts';
import { keyNameOf, keyPrefix, trampolinePrefix } from '../bytes/static-call-names.ts';
import { STB_LOCAL, STT_FILE } from '../elf/constants.ts';
import { sectionUndefined } from '../elf/symbols.ts';
import type { ObjectCode } from './object-code.ts';

const trampolineBytes = new TextEncoder().encode(trampolinePrefix);
const keyBytes = new TextEncoder().encode(keyPrefix);

/**
 * Trampolines and keys of one object. File-local calls of several sources may share a name after `ld -r`; a
 * local trampoline then goes with the key behind the same STT_FILE symbol.
 */
export class Trampolines {
  private readonly isTrampoline: Uint8Array;
  private readonly sourceFile: Uint32Array;
  private readonly keys = new Map<string, number>();
  private readonly places = new Map<string, number>();
  /** Sections in which trampolines are defined. */
  readonly sections = new Set<number>();
  readonly count: number;
  private readonly object: ObjectCode;

  constructor(object: ObjectCode) {
    const { symbols } = object;
    this.object = object;
    this.isTrampoline = new Uint8Array(symbols.count);
    this.sourceFile = new Uint32Array(symbols.count);
    let source = 0;
    let count = 0;
    for (let i = 1; i < symbols.count; i++) {
      if (symbols.type(i) === STT_FILE) source = i;
      const local = symbols.binding(i) === STB_LOCAL;
      this.sourceFile[i] = local ? source : 0;
      if (symbols.nameStartsWith(i, trampolineBytes)) {
        this.isTrampoline[i] = 1;
        count++;
        const section = symbols.section[i] as number;
        if (section > 0) {
          this.sections.add(section);
          this.places.set(`${section}:${object.placeOfSymbol(i)}`, i);
        }
      } else if (symbols.nameStartsWith(i, keyBytes)) {
        this.keys.set(`${local ? source : 0}:${symbols.name(i)}`, i);
      }
    }
    this.count = count;
  }

  /** False when no place near this symbol can be a trampoline; the cheap question in front of `at`. */
  mayReach(symbol: SymbolNumber): boolean {
    return (
      this.isTrampoline[symbol] === 1 || this.sections.has(this.object.symbols.section[symbol] as number)
    );
  }

  /** The trampoline that S + A + bias lands on: the symbol itself, or one at that place of its section. */
  at(symbol: SymbolNumber, offsetFromSymbol: number): SymbolNumber | undefined {
    const { symbols } = this.object;
    if (symbols.section[symbol] === sectionUndefined) {
      return this.isTrampoline[symbol] === 1 && offsetFromSymbol === 0 ? symbol : undefined;
    }
    const place = this.object.placeOf(symbol, offsetFromSymbol);
    if (this.isTrampoline[symbol] === 1 && offsetFromSymbol === 0) return symbol;
    return this.places.get(`${place.section}:${place.offset}`);
  }

  /** The trampoline defined at byte `offset` of a section. */
  inSection(section: SectionNumber, offset: number): SymbolNumber | undefined {
    return this.places.get(`${section}:${offset}`);
  }

  /** The key's symbol, when the object names it. */
  keyOf(trampoline: SymbolNumber): SymbolNumber | undefined {
    const name = keyNameOf(this.object.symbols.name(trampoline));
    const local = this.keys.get(`${this.sourceFile[trampoline]}:${name}`);
    return local ?? this.keys.get(`0:${name}`);
  }
}
