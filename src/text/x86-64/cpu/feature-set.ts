// Features of a processor while a kernel makes up its mind.
import type { FeatureNames, MadeFeature } from './feature-names.ts';

/** Features while they are set and cleared. */
export class FeatureSet {
  readonly names: FeatureNames;
  readonly numbers: Set<number>;
  readonly bugs: ReadonlySet<string>;

  constructor(names: FeatureNames, numbers: ReadonlySet<number>, bugs: ReadonlySet<string>) {
    this.names = names;
    this.numbers = new Set(numbers);
    this.bugs = bugs;
  }

  has(feature: number | MadeFeature): boolean {
    const number = typeof feature === 'number' ? feature : this.names.number(feature);
    return number !== undefined && this.numbers.has(number);
  }

  set(feature: MadeFeature, is = true): void {
    const number = this.names.number(feature);
    if (number !== undefined && is) this.numbers.add(number);
  }

  clear(feature: MadeFeature): void {
    const number = this.names.number(feature);
    if (number !== undefined) this.numbers.delete(number);
  }
}
