// The places that entries name: code, where an instruction starts; branch targets within their function.
import type { Program } from '../demand/program.ts';
import type { Image } from '../image/image.ts';
import type { NamedPlace } from '../kinds/kind.ts';
import { kinds } from '../kinds/registry.ts';
import { type Checked, entryFinding } from './checked.ts';
import type { Finding } from './finding.ts';
import type { RuleId } from './rules.ts';

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
  const { image, sites } = program;
  const findings: Finding[] = [];
  const faulty = new Set<number>();
  for (const kind of kinds) {
    if (!kind.group) continue;
    for (const site of sites.of(kind)) {
      const { entry } = site;
      for (const place of kind.places(image, site)) {
        if (faulty.has(entry.address)) continue;
        const { address, what } = place;
        const find = (rule: RuleId, at: number, message: string) => {
          faulty.add(entry.address);
          findings.push(entryFinding(program, rule, site, at, message));
        };
        const why = whyNoCode(image, address);
        // What a linker leaves of the entry of discarded code: zeros, which name the field itself, or address 0.
        if (why !== undefined && (address === entry.address || address === 0)) {
          find('TP018', entry.address, 'the entry holds zeros: the linker discarded the code of the site');
        } else if (why !== undefined) find('TP001', address, `${what} ${why}`);
        else if (!startsThere(image, place)) find('TP002', address, `${what} inside an instruction`);
      }
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
  const { image, sites } = program;
  const findings: Finding[] = [];
  const faulty = new Set<number>();
  for (const kind of kinds) {
    for (const site of kind.target ? sites.of(kind) : []) {
      const to = kind.target?.(site) ?? site.address;
      const target = image.symbols.functionsAt(to);
      const own = image.symbols.functionsAt(site.address);
      if (own.length === 0 || target.length === 0) continue;
      const roots = new Set(own.map(rootOf));
      if (target.some((name) => roots.has(rootOf(name)))) continue;
      faulty.add(site.entry.address);
      const message = `the ${kind.noun} goes to ${image.describe(to)}, which is in another function`;
      findings.push(entryFinding(program, 'TP020', site, site.address, message));
    }
  }
  return { findings, faulty };
}
