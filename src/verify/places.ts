// The places that entries name: code, where an instruction starts; branch targets within their function.
import type { Program } from '../demand/program.ts';
import type { Site } from '../demand/sites.ts';
import type { Image } from '../image/image.ts';
import type { Kind, NamedPlace } from '../kinds/kind.ts';
import { kinds } from '../kinds/registry.ts';
import { type Checked, entryFinding } from './checked.ts';
import { type Finding, type Judge, later } from './finding.ts';

/** Why no code can be at an address; undefined where some is. */
function whyNoCode(image: Image, address: number): string | undefined {
  if (image.codeAt(address)) return undefined;
  if (!image.contains(address)) return 'that is outside the image';
  const section = image.sectionAt(address)?.name;
  return `that is not in executable code${section === undefined ? '' : ` but in ${section}`}`;
}

/** True where what has to start at a place does. */
function startsThere(image: Image, { address, starts }: NamedPlace): boolean {
  const range = starts && image.codeAt(address);
  if (!range) return true;
  const { startsInstruction, startsBranch } = image.arch;
  const begins = starts === 'branch' ? startsBranch : startsInstruction;
  return begins(range.code, image.codeMap(range), address - range.address);
}

/** TP001, TP002, TP018. */
export function checkPlaces(program: Program): Checked {
  return checkEach(program, (kind) => kind.group !== undefined, judgePlaces);
}

/** What is wrong with the first place that an entry names wrongly. */
function judgePlaces(program: Program, kind: Kind, site: Site): Finding | undefined {
  const { image } = program;
  const { entry } = site;
  for (const place of kind.places(image, site)) {
    const { address, what } = place;
    const why = whyNoCode(image, address);
    // What a linker leaves of the entry of discarded code: zeros, which name the field itself, or address 0.
    if (why !== undefined && (address === entry.address || address === 0)) {
      const message = 'the entry holds zeros: the linker discarded the code of the site';
      return entryFinding(program, 'TP018', site, entry.address, message);
    }
    if (why !== undefined) return entryFinding(program, 'TP001', site, address, `${what} ${why}`);
    if (!startsThere(image, place))
      return entryFinding(program, 'TP002', site, address, `${what} inside an instruction`);
  }
  return undefined;
}

/** Judges each site of some kinds; an entry that was found at fault is not judged again. */
function checkEach(
  program: Program,
  isChecked: (kind: Kind) => boolean,
  judgeSite: (program: Program, kind: Kind, site: Site) => Finding | undefined,
): Checked {
  const findings: Finding[] = [];
  const faulty = new Set<number>();
  for (const kind of kinds.filter(isChecked)) {
    const sites = program.sites.of(kind);
    const judge: Judge = (which) => judgeSite(program, kind, sites[which] as Site);
    for (const [i, { entry }] of sites.entries()) {
      const finding = faulty.has(entry.address) ? undefined : later(judge, i);
      if (!finding) continue;
      faulty.add(entry.address);
      findings.push(finding);
    }
  }
  return { findings, faulty };
}

/** Compilers split functions: `f.cold`, `f.part.0`; what stands in front of the first dot is the function. */
function rootOf(name: string): string {
  const dot = name.indexOf('.', 1);
  return dot < 0 ? name : name.slice(0, dot);
}

/** TP020. */
export function checkTargets(program: Program): Checked {
  return checkEach(program, (kind) => kind.target !== undefined, judgeTarget);
}

function judgeTarget(program: Program, kind: Kind, site: Site): Finding | undefined {
  const { image } = program;
  const to = kind.target?.(site) ?? site.address;
  const target = image.symbols.functionsAt(to);
  const own = image.symbols.functionsAt(site.address);
  if (own === target || own.length === 0 || target.length === 0) return undefined;
  const roots = new Set(own.map(rootOf));
  if (target.some((name) => roots.has(rootOf(name)))) return undefined;
  const message = `the ${kind.noun} goes to ${image.describe(to)}, which is in another function`;
  return entryFinding(program, 'TP020', site, site.address, message);
}
