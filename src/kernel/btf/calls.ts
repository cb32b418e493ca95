// How a kernel's functions are called, by its BTF: which may stand in the place of which. Types that pahole kept twice are
// the same where they say the same.
import { kinds, modifiers, typeSize } from './kinds.ts';
import type { BtfTypes } from './types.ts';

/** Pointers and prototypes in a row; what is deeper is taken for the same. */
const deepest = 16;
/** Modifiers in a row; more are taken for a circle. */
const mostModifiers = 64;
/** Types that are compared for a function; what is behind them is taken for the same. */
const mostCompared = 4096;

const named: ReadonlySet<number> = new Set([
  kinds.struct,
  kinds.union,
  kinds.forward,
  kinds.enum,
  kinds.enum64,
]);

export class CallTypes {
  private readonly types: BtfTypes;
  private left = 0;

  constructor(types: BtfTypes) {
    this.types = types;
  }

  /** The prototypes of the functions of a name: files may call different ones the same. Undefined for no function. */
  private prototypes(name: string): readonly number[] | undefined {
    const { types } = this;
    const functions = types.named(name).filter((id) => types.kind(id) === kinds.function);
    return functions.length === 0 ? undefined : functions.map((id) => types.sizeOrType(id));
  }

  /**
   * Whether two functions take the same, and return the same if both return something: a tracepoint's function that goes
   * through its list returns a number, and what is on the list does not. Undefined where one of them has no type here.
   */
  areAlike(first: string, second: string): boolean | undefined {
    const [a, b] = [this.prototypes(first), this.prototypes(second)];
    if (!a || !b) return undefined;
    return a.some((one) => b.some((other) => this.isCalledSame(one, other)));
  }

  /** Whether what a pointer of this type calls is called as a function is; undefined where one of them has no such type here. */
  fits(pointer: number, name: string): boolean | undefined {
    const type = this.strip(pointer);
    const functions = this.prototypes(name);
    if (type === 0 || this.types.kind(type) !== kinds.pointer || !functions) return undefined;
    const called = this.strip(this.types.sizeOrType(type));
    if (called === 0 || this.types.kind(called) !== kinds.prototype) return undefined;
    return functions.some((one) => this.isCalledSame(called, one));
  }

  private isCalledSame(a: number, b: number): boolean {
    this.left = mostCompared;
    return this.takesSame(a, b, 0);
  }

  private isSame(first: number, second: number, depth: number, isPointer = false): boolean {
    const { types } = this;
    const [a, b] = [this.strip(first), this.strip(second)];
    if (a === b || depth === deepest || this.left-- <= 0) return true;
    // `void *` stands for every pointer.
    if (a === 0 || b === 0) return depth > 0 && isPointer;
    const [kind, other] = [types.kind(a), types.kind(b)];
    if (named.has(kind) && named.has(other))
      return types.text(types.nameOffset(a)) === types.text(types.nameOffset(b));
    if (kind !== other) return false;
    switch (kind) {
      case kinds.pointer:
        return this.isSame(types.sizeOrType(a), types.sizeOrType(b), depth + 1, true);
      case kinds.int:
      case kinds.float:
        return types.sizeOrType(a) === types.sizeOrType(b);
      case kinds.prototype:
        return this.takesSame(a, b, depth + 1);
      default:
        return true;
    }
  }

  private takesSame(a: number, b: number, depth: number): boolean {
    const { types } = this;
    const count = types.memberCount(a);
    if (types.memberCount(b) !== count) return false;
    const [result, other] = [this.strip(types.sizeOrType(a)), this.strip(types.sizeOrType(b))];
    if (result !== 0 && other !== 0 && !this.isSame(result, other, depth)) return false;
    const parameter = (id: number, i: number) => types.view.u32(types.at(id) + typeSize + 8 * i + 4);
    return Array.from({ length: count }, (_, i) => i).every((i) =>
      this.isSame(parameter(a, i), parameter(b, i), depth),
    );
  }

  /** The type behind typedefs, const, volatile and tags; 0: void. */
  private strip(id: number): number {
    const { types } = this;
    let at = id;
    for (let steps = 0; at !== 0 && modifiers.has(types.kind(at)); steps++) {
      if (steps === mostModifiers) types.fail(types.at(id), `the type ${id} leads in a circle`);
      at = types.sizeOrType(at);
    }
    return at;
  }
}
