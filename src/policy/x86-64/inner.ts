// Branches to thunks and returns inside of alternatives, which are patched first: every form that each may have by then. A
// kernel has one form for all branches, and one for all returns, so these are gone through together.
import { countUpTo } from '../../bytes/search.ts';
import { branchAt, branchSize, jumpOpcode, setS32 } from '../../text/x86-64/branches.ts';
import type { RetpolineSite } from '../../text/x86-64/retpoline-code.ts';
import { arrayOf } from '../../text/x86-64/retpolines.ts';
import { readSites } from '../../text/x86-64/sites.ts';
import { distanceSize } from '../builder.ts';
import type { PolicyState } from '../policy.ts';
import type { KernelFile } from './kernel.ts';
import { retpolineStates, returnStates } from './tables.ts';

/** Two places outside of the image that differ in the lowest byte, for code of which only that is known. */
export const someOutside = [-0x0f0f_0f10, -0x1e1d_1c20] as const;

export interface InnerSite {
  readonly address: number;
  readonly kind: 'retpoline' | 'return';
  /** Undefined: it stays. */
  readonly forms: readonly (InnerForm | undefined)[];
}

interface InnerForm {
  readonly bytes: Uint8Array;
  /** Where the distance to code outside of the image stands. */
  readonly outsideAt: number | undefined;
}

/** Which form all branches have, and all returns. */
export type Mode = Readonly<Record<InnerSite['kind'], number>>;

export function innerSites(kernel: KernelFile) {
  const { image } = kernel;
  const ranges = alternativeRanges(kernel);
  const sites: InnerSite[] = [];
  const returns = returnStates(kernel).map((state) => state);
  for (const address of readSites(image, 'return') ?? []) {
    if (!ranges.has(address)) continue;
    const text = kernel.subject.texts.holding(address, branchSize);
    const branch = text && branchAt(text, address);
    if (branch?.opcode !== jumpOpcode) continue;
    sites.push({ address, kind: 'return', forms: formsOf(kernel, address, returns) });
  }
  const thunks = arrayOf(kernel.subject, 'thunk');
  for (const address of readSites(image, 'retpoline') ?? []) {
    if (!ranges.has(address) || !thunks) continue;
    const text = kernel.subject.texts.holding(address, 1);
    const branch = text && branchAt(text, address);
    const register = branch ? (branch.target - thunks.start) / thunks.size : Number.NaN;
    if (!branch || !Number.isInteger(register) || register < 0 || register > 15) continue;
    const { opcode, isConditional, length } = branch;
    const site: RetpolineSite = { opcode, isConditional, length, register };
    sites.push({
      address,
      kind: 'retpoline',
      forms: formsOf(kernel, address, retpolineStates(kernel, site)),
    });
  }
  sites.sort((a, b) => a.address - b.address);
  const places = Float64Array.from(sites, ({ address }) => address);
  const most = (kind: InnerSite['kind'], among: readonly InnerSite[]) =>
    among.reduce((all, site) => (site.kind === kind ? Math.max(all, site.forms.length) : all), 1);
  const formOf = (site: InnerSite, mode: Mode) => site.forms[mode[site.kind]];
  return {
    between: (start: number, end: number): InnerSite[] =>
      sites.slice(countUpTo(places, start - 1), countUpTo(places, end - 1)),
    /** Every mode that makes a difference for some sites. */
    *modesOf(among: readonly InnerSite[]): Generator<Mode> {
      for (let r = 0; r < most('retpoline', among); r++)
        for (let s = 0; s < most('return', among); s++) yield { retpoline: r, return: s };
    },
    leadsOutside: (among: readonly InnerSite[], mode: Mode): boolean =>
      among.some((site) => formOf(site, mode)?.outsideAt !== undefined),
    bytesOf: (site: InnerSite, mode: Mode, which: 0 | 1): Uint8Array | undefined => {
      const form = formOf(site, mode);
      if (!form || form.outsideAt === undefined) return form?.bytes;
      const bytes = form.bytes.slice();
      const end = form.outsideAt + distanceSize;
      setS32(bytes, form.outsideAt, someOutside[which] - (site.address + end));
      return bytes;
    },
  };
}

/** Whether a place lies in some alternative, or in what replaces one. */
function alternativeRanges({ subject }: KernelFile): { has(place: number): boolean } {
  const ranges = (subject.state.alternatives?.listed ?? [])
    .flatMap((one) => [
      [one.address as number, one.address + one.length] as const,
      [one.replacement as number, one.replacement + one.replacementLength] as const,
    ])
    .sort(([a], [b]) => a - b);
  const starts = Float64Array.from(ranges, ([start]) => start);
  // Where all ranges up to one end.
  const ends = new Float64Array(ranges.length);
  for (const [i, [, end]] of ranges.entries())
    ends[i] = Math.max(end, ends[i - 1] ?? Number.NEGATIVE_INFINITY);
  return {
    has(place) {
      const before = countUpTo(starts, place);
      return before > 0 && place < (ends[before - 1] as number);
    },
  };
}

/** The forms of a site, each target by itself; the first is that of the file. */
function formsOf(
  kernel: KernelFile,
  address: number,
  states: readonly PolicyState[],
): (InnerForm | undefined)[] {
  const forms: (InnerForm | undefined)[] = [undefined];
  for (const { bytes, fields } of states) {
    const field = fields.find(({ is }) => is === 'branch');
    if (field?.is !== 'branch') {
      forms.push({ bytes, outsideAt: undefined });
      continue;
    }
    const targets = kernel.builder.target(field.targets);
    for (const target of targets.addresses) {
      const form = bytes.slice();
      setS32(form, field.at, target - (address + field.at + distanceSize));
      forms.push({ bytes: form, outsideAt: undefined });
    }
    if (targets.outside) forms.push({ bytes, outsideAt: field.at });
  }
  return forms;
}
