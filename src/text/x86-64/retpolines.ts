// .retpoline_sites (since 5.16, and stable kernels): indirect calls and jumps, which the compiler makes branches to thunks
// (arch/x86/kernel/alternative.c, apply_retpolines).
//
// Order: behind FineIBT, in front of the returns and of alternatives, in all versions; until 6.7 behind paravirt calls (but
// 5.10 has these last). Replacements of alternatives have sites too, and must be among the texts, because alternatives copy
// them.
import { sameBytes } from '../../bytes/integer.ts';
import type { ExpectedText } from '../expected.ts';
import { kernelOf, type PassResult, type TextPass, type TextSubject } from '../pass.ts';
import { branchAt, callOpcode, isInLowHalf } from './branches.ts';
import { type ItsUse, itsPagesOf, noteUnknown } from './its.ts';
import { nopStyleOf } from './nops.ts';
import {
  indirectBranch,
  indirectOffset,
  type RetpolineForm,
  type RetpolineSite,
  retpolineForms,
  thunkBranch,
} from './retpoline-code.ts';
import { Notes, readSites, TextFinder } from './sites.ts';
import type { X86State } from './state.ts';

/** A site that is changed. */
interface Found extends RetpolineSite {
  readonly text: ExpectedText;
  readonly address: number;
}

/** How many sites say which form the kernel has. */
const mostVotes = 256;
/** %rsp, which nothing calls. */
const stackPointer = 4;

export const retpolines: TextPass<X86State> = {
  kind: 'retpoline',
  name: 'retpolines',
  run(subject) {
    const sites = readSites(subject.image, 'retpoline');
    return sites && patchRetpolines(subject, sites);
  },
};

function patchRetpolines(subject: TextSubject<X86State>, sites: Float64Array): PassResult {
  const { state } = subject;
  const notes = new Notes();
  const has = (name: string) => {
    const number = state.feature(name);
    return number !== undefined && state.has(number);
  };
  const fenced = has('RETPOLINE_LFENCE');
  const counts = has('CALL_DEPTH');
  const keeps = has('RETPOLINE') && !fenced;
  if (keeps && !counts) return { sites: sites.length, notes: [] };
  const found = findSites(subject, sites, notes);
  if (keeps) writeCounting(subject, found, notes);
  else writeIndirect(subject, found, fenced, has('INDIRECT_THUNK_ITS'), notes);
  const pages = itsPagesOf(subject).generated(subject, notes);
  return { sites: sites.length, notes: notes.all, pages };
}

/** The sites that lie in the texts, with the registers of their thunks. */
function findSites(subject: TextSubject<X86State>, sites: Float64Array, notes: Notes): Found[] {
  const kernel = kernelOf(subject);
  const thunks = arrayOf(subject, 'thunk');
  const finder = new TextFinder(subject);
  const { taken } = itsPagesOf(subject);
  const found: Found[] = [];
  for (const address of sites) {
    const text = finder.site(address, 1, notes);
    if (!text || taken.has(address)) continue;
    const branch = branchAt(text, address);
    const register = branch && thunks ? (branch.target - thunks.start) / thunks.size : Number.NaN;
    if (
      !branch ||
      !(register >= 0 && register < 16 && Number.isInteger(register)) ||
      register === stackPointer
    ) {
      notes.wrong(
        address,
        `.retpoline_sites names ${kernel.describe(address)}, which is no branch to a retpoline thunk`,
      );
      continue;
    }
    const { opcode, isConditional, length } = branch;
    found.push({ text, address, opcode, isConditional, length, register });
  }
  return found;
}

/** The thunks of all registers, one behind the other: __x86_indirect_thunk_rax and so on, in the order of their numbers. */
export function arrayOf(subject: TextSubject<X86State>, word: 'thunk' | 'call_thunk' | 'jump_thunk') {
  const { symbols } = kernelOf(subject);
  const [first, second] = ['rax', 'rcx'].map((name) => symbols.addressOf(`__x86_indirect_${word}_${name}`));
  const start = symbols.addressOf(`__x86_indirect_${word}_array`) ?? first;
  if (start === undefined || first === undefined || second === undefined) return undefined;
  return { start, size: second - first };
}

/** Call depth tracking: thunks that count (emit_call_track_retpoline). */
function writeCounting(subject: TextSubject<X86State>, found: readonly Found[], notes: Notes): void {
  const [calls, jumps] = [arrayOf(subject, 'call_thunk'), arrayOf(subject, 'jump_thunk')];
  for (const site of found) {
    const thunks = site.opcode === callOpcode ? calls : jumps;
    if (!thunks) {
      notes.add({
        severity: 'wrong',
        message: 'the kernel has no thunks that count calls',
        input: 'boot_cpu_data',
      });
      return;
    }
    const bytes = thunkBranch(site, site.address, thunks.start + thunks.size * site.register);
    if (bytes) site.text.write(site.address, bytes, 'retpoline');
  }
}

function writeIndirect(
  subject: TextSubject<X86State>,
  found: readonly Found[],
  fenced: boolean,
  its: boolean,
  notes: Notes,
): void {
  const style = nopStyleOf(kernelOf(subject), subject.state);
  if (!style) {
    const message = 'ideal_nops leads to no list of NOPs that the kernel has: retpolines are left';
    notes.add({ severity: 'wrong', message, input: 'ideal_nops' });
    return;
  }
  const { nops } = style;
  const pages = itsPagesOf(subject);
  const uses: ItsUse[] = [];
  const through: Found[] = [];
  const plain: Found[] = [];
  for (const site of found) {
    // The last byte of the indirect branch counts.
    const last = site.address + indirectOffset(site, fenced) + (site.register < 8 ? 1 : 2);
    if (its && isInLowHalf(last + subject.slide)) {
      through.push(site);
      uses.push({ ...site, thunk: pages.allocate(site.register) });
    } else plain.push(site);
  }
  const form = formOf(subject, plain, fenced, nops);
  for (const site of plain) {
    const bytes = indirectBranch(site, fenced, form, nops);
    if (bytes) site.text.write(site.address, bytes, 'retpoline');
  }
  const unknown: number[] = [];
  for (const [i, target] of pages.targets(subject, uses).entries()) {
    const site = through[i] as Found;
    const bytes = target === undefined ? undefined : thunkBranch(site, site.address, target);
    if (bytes) site.text.write(site.address, bytes, 'retpoline');
    else unknown.push(site.address);
  }
  noteUnknown(subject, unknown, notes);
}

/**
 * The form that most sites in memory have. Stable branches took it over at one time or another, so versions tell less; they
 * decide where memory does not.
 */
function formOf(
  { state, slide }: TextSubject<X86State>,
  sites: readonly Found[],
  fenced: boolean,
  nops: readonly Uint8Array[],
): RetpolineForm {
  const votes = new Map<RetpolineForm, number>();
  let asked = 0;
  for (const site of sites) {
    if (asked >= mostVotes) break;
    const forms = retpolineForms.map((form) => indirectBranch(site, fenced, form, nops));
    const [one, another, third] = forms;
    if (!one || !another || !third || (sameBytes(one, another) && sameBytes(one, third))) continue;
    const memory = state.reader.bytes(site.address + slide, site.length);
    if (!memory) continue;
    asked++;
    for (const [i, form] of retpolineForms.entries())
      if (sameBytes(forms[i] as Uint8Array, memory)) votes.set(form, (votes.get(form) ?? 0) + 1);
  }
  const byVersion = formOfVersion(state.version);
  const count = (form: RetpolineForm) => votes.get(form) ?? 0;
  return retpolineForms.reduce((best, form) => (count(form) > count(best) ? form : best), byVersion);
}

function formOfVersion([major, minor]: readonly [number, number]): RetpolineForm {
  const version = 1000 * major + minor;
  return version < 6001 ? 'nops' : version < 6018 ? 'int3' : 'filled';
}
