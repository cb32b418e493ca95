// Replays what boot recorded: byte strings and writes are taken from the data as they are. What is known here is that a place
// which already holds what it is to hold is not written, and nothing else of patching.
import type { ControlData, ImageData, StoredData, ValueData, WritesData } from '../data.ts';

/** A write, as `textpoke boot --json` tells it. */
export interface Write {
  readonly phase: string;
  readonly what: 'text' | 'data';
  readonly address: number;
  /** The place that it is a part of; undefined for data. */
  readonly place?: number;
  /** Bytes from the place's first one. */
  readonly offset: number;
  readonly before: string;
  readonly after: string;
  readonly reason: string;
  /** Of the three writes of a live patch: breakpoint, tail, head. */
  readonly step?: number;
}

/** What a person chose. */
export interface Step {
  readonly control: number;
  /** The number of its value; of a key its count, which may be above 1. */
  readonly value: number;
  /** A user of a key more or less, where the key is not switched as a whole. */
  readonly by?: 'inc' | 'dec';
}

const runTime = 'run time';

export class Play {
  readonly image: ImageData;
  readonly addresses: Float64Array;
  /** What stands at each place now: digits. */
  readonly now: string[];
  /** What each control is now, as in a step. */
  readonly values: Int32Array;
  private readonly words = new Map<string, string>();
  /** The writes of start-up. */
  readonly start: Write[] = [];

  /** Boots: `cpus` is what `--cpus` is given, undefined where it is not given. */
  constructor(image: ImageData, addresses: Float64Array, cpus: number | undefined) {
    this.image = image;
    this.addresses = addresses;
    this.now = (image.places?.built ?? []).map((bytes) => image.bytes[bytes] as string);
    this.values = Int32Array.from(image.boot?.controls ?? [], ({ initial }) => initial);
    for (const phase of image.boot?.phases ?? []) this.writeAll(phase.name, phase);
    const chosen = image.boot?.cpus.find((of) => of.cpus === cpus);
    const last = image.boot?.phases.at(-1);
    if (chosen && last) this.writeAll(last.name, chosen);
  }

  /** Makes a change and gives its writes, in order; none where the control has that value already. */
  apply({ control: number, value: to }: Step): Write[] {
    const control = this.image.boot?.controls[number] as ControlData;
    const from = this.values[number] as number;
    const value = control.values[to];
    if (from === to || value?.refused !== undefined) return [];
    this.values[number] = to;
    const writes: Write[] = [];
    const least = Math.min(from, to);
    if (control.what === 'key' && least > 0) {
      const way = control.counts?.[least - 1];
      for (const item of (to > from ? way?.up : way?.down) ?? []) this.store(writes, number, control, item);
      return writes;
    }
    if (!value) return [];
    for (const item of value.order) {
      if (item === -1) for (const [i, place] of control.places.entries()) this.patch(writes, place, value, i);
      else this.store(writes, number, control, item);
    }
    return writes;
  }

  private string(number: number): string {
    return this.image.strings[number] as string;
  }

  private bytes(number: number): string {
    return this.image.bytes[number] as string;
  }

  private patch(writes: Write[], place: number, value: ValueData, at: number): void {
    const number = value.bytes[at] as number;
    if (this.now[place] === this.bytes(number)) return;
    const program = this.image.boot?.live[number] ?? [0, 0, number];
    const reason = this.string(value.reasons[at] as number);
    for (let i = 0; i < program.length; i += 3) {
      const [step, offset, bytes] = program.slice(i, i + 3) as [number, number, number];
      const write = this.write(runTime, place, offset, this.bytes(bytes), reason);
      writes.push(step === 0 ? write : { ...write, step });
    }
  }

  private writeAll(phase: string, { places, bytes, reasons }: WritesData): void {
    places.forEach((place, i) => {
      const after = this.bytes(bytes[i] as number);
      this.start.push(this.write(phase, place, 0, after, this.string(reasons[i] as number)));
    });
  }

  private write(phase: string, place: number, offset: number, after: string, reason: string): Write {
    const now = this.now[place] as string;
    const [from, to] = [offset * 2, offset * 2 + after.length];
    this.now[place] = now.slice(0, from) + after + now.slice(to);
    return {
      ...{ phase, what: 'text', place, offset, after, reason },
      address: (this.addresses[place] as number) + offset,
      before: now.slice(from, to),
    };
  }

  private store(
    writes: Write[],
    number: number,
    { words }: ControlData,
    [word, bytes, reason]: StoredData,
  ): void {
    const [address, initial] = words[word] as readonly [number, number];
    const key = `${number} ${word}`;
    const before = this.words.get(key) ?? this.bytes(initial);
    const after = this.bytes(bytes);
    if (before === after) return;
    this.words.set(key, after);
    writes.push({
      ...{ phase: runTime, what: 'data', address, offset: 0, before, after },
      reason: this.string(reason),
    });
  }
}

/** What a scenario is called in the command. */
export const scenarioName = 'steps.json';

/** The command that does the same; users of keys are counted by a scenario alone. */
export function commandOf(image: ImageData, cpus: number | undefined, steps: readonly Step[]): string {
  const { command = '', controls = [] } = image.boot ?? {};
  const words = cpus === undefined ? [command] : [command, `--cpus ${cpus}`];
  if (needsScenario(steps)) return [...words, `--scenario ${scenarioName}`].join(' ');
  for (const { control: number, value: to } of steps) {
    const control = controls[number] as ControlData;
    const spelling = image.strings[control.spelling];
    const value = control.values[to] as ValueData;
    if (control.what === 'call') words.push(`--update ${spelling}=${image.strings[value.spelling]}`);
    else words.push(`${to === 1 ? '--enable' : '--disable'} ${spelling}`);
  }
  return words.join(' ');
}

/** True where options cannot say what was chosen. */
export function needsScenario(steps: readonly Step[]): boolean {
  return steps.some(({ by }) => by !== undefined);
}
