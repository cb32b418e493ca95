// What a static call may be redirected to in a report: NULL, what returns 0, what was asked for, and the functions that a name
// suggests. A call may go to any function of an image, and no file says to which ones a program redirects it.
import { placeOf } from '../arch/code-pointer.ts';
import { hex } from '../bytes/integer.ts';
import { keyPrefix, trampolinePrefix } from '../bytes/static-call-names.ts';
import type { Program } from '../demand/program.ts';
import { STT_FUNC } from '../elf/constants.ts';
import type { Image } from '../image/image.ts';
import { resolveStaticCalls } from '../image/names.ts';
import type { StaticCall } from '../image/static-calls.ts';

/** What somebody wants to see: a call and a function, as boot's `--update` takes them. */
export interface AskedUpdate {
  readonly call: string;
  readonly value: string;
}

/** A value, as `--update` takes it. */
export interface Candidate {
  readonly name: string;
  readonly spelling: string;
}

/** Functions of an image so small that any of them may be meant. */
const fewFunctions = 40;
/** Functions that its name suggests, for a call; and for all calls of an image, of which a kernel has thousands. */
const mostSuggested = 3;
const mostInAll = 4000;
/** Calls of an image so large that only those are offered RET0 that have it: the others' functions return nothing. */
const manyCalls = 1000;
/** What compilers, the C library and libtextpoke bring, and what no call is redirected to. */
const notMeant = /^(_|main$|textpoke_|(de)?register_tm_clones$|frame_dummy$)/;
/** Tracepoints' calls begin so (include/linux/tracepoint.h); the functions behind them do not. */
const tracepoint = /^tp_func_/;

/** Gives the values of each call. */
export class Candidates {
  private readonly image: Image;
  private readonly hasReturnZero: boolean;
  private readonly asked = new Map<number, Candidate[]>();
  private readonly suggested = new Map<string, Candidate[]>();
  private readonly few: readonly Candidate[] | undefined;
  private readonly mostOfCall: number;

  /** Errors: those of the names that were asked for. */
  constructor({ image, calls }: Program, keys: readonly StaticCall[], asked: readonly AskedUpdate[]) {
    this.image = image;
    this.hasReturnZero =
      keys.length < manyCalls && image.symbols.addressOf('__static_call_return0') !== undefined;
    for (const { call, value } of asked) {
      for (const { key } of resolveStaticCalls(image, calls, call)) {
        const list = this.asked.get(key) ?? [];
        list.push({ name: value, spelling: value });
        this.asked.set(key, list);
      }
    }
    for (const { name } of keys) this.suggested.set(name.replace(tracepoint, ''), []);
    const share = Math.floor(mostInAll / Math.max(1, keys.length));
    this.mostOfCall = Math.max(1, Math.min(mostSuggested, share));
    this.few = this.collect();
  }

  /** The values of a call besides the one that it has. */
  of(call: StaticCall): readonly Candidate[] {
    const base = this.hasReturnZero ? ['NULL', 'RET0'] : ['NULL'];
    const named = this.few ?? this.suggested.get(call.name.replace(tracepoint, '')) ?? [];
    return [...base.map((name) => ({ name, spelling: name })), ...(this.asked.get(call.key) ?? []), ...named];
  }

  /** Goes through the functions once: all of a small image's, else those that the names of calls suggest. */
  private collect(): Candidate[] | undefined {
    const { symbols, arch } = this.image;
    const { table } = symbols;
    if (!table) return undefined;
    const all: Candidate[] = [];
    let count = 0;
    for (let i = 1; i < table.count; i++) {
      if (table.type(i) !== STT_FUNC || (table.section[i] as number) <= 0) continue;
      const name = table.name(i);
      if (name.startsWith(trampolinePrefix) || name.startsWith(keyPrefix)) continue;
      const pointer = table.value[i] as number;
      if (!this.image.codeAt(placeOf(arch, pointer))) continue;
      const candidate = () => ({ name, spelling: spellingOf(this.image, name, pointer) });
      if (!notMeant.test(name) && count++ < fewFunctions) all.push(candidate());
      this.suggest(name, candidate);
    }
    if (count > fewFunctions) return undefined;
    return all.sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
  }

  /** A name that is a call's with words in front of it or behind it. */
  private suggest(name: string, candidate: () => Candidate): void {
    for (let at = name.indexOf('_'); at >= 0; at = name.indexOf('_', at + 1)) {
      for (const part of [name.slice(at + 1), name.slice(0, at)]) {
        const list = this.suggested.get(part);
        if (list && list.length < this.mostOfCall) list.push(candidate());
      }
    }
  }
}

/** A name that means the address and nothing else, or the address. */
export function spellingOf(image: Image, name: string, address: number): string {
  const found = image.symbols.addressesOf(name);
  return found.length === 1 && found[0] === address && isPlainName(name) ? name : hex(address);
}

/** True for a name that a shell and boot's options take as it is. */
export function isPlainName(name: string): boolean {
  return /^[A-Za-z_.@][\w.@]*(\+0x[0-9a-f]+)?$/.test(name);
}
