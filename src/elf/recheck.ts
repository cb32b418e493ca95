// Re-reads a file that is about to be published with elfy, which shares no code with our reader and writer: two
// readers that agree are the point. elfy knows neither extended section numbers (then only our own reader checks)
// nor .bss (its bytes there are not its own), and reads ELF64 sh_addralign and sh_entsize at wrong offsets.
import elfy from 'elfy';
import { sameBytes } from '../bytes/integer.ts';
import { TextpokeError } from '../errors.ts';
import { SHN_LORESERVE, SHT_NOBITS, SHT_NULL } from './constants.ts';
import type { Section } from './file.ts';
import { readElf } from './read.ts';

interface ElfySection {
  readonly name: string;
  readonly type: string | number;
  readonly size: number;
  readonly data: Uint8Array;
}

/** elfy's names of section types, by number. */
const typeNumbers = new Map<string | number, number>(
  Object.entries((elfy as { constants: { sectType: Record<string, string> } }).constants.sectType).map(
    ([number, name]) => [name, Number(number)],
  ),
);

function disagree(what: string, ours: unknown, theirs: unknown): never {
  throw new TextpokeError(
    'defect',
    `the re-read of the result disagrees on ${what}: ${ours} and elfy's ${theirs}`,
  );
}

/**
 * Throws `defect` unless elfy and our reader see the same section count, names, types, sizes and contents in
 * `bytes`; returns our reading of it.
 */
export function recheck(path: string, bytes: Uint8Array): ReturnType<typeof readElf> {
  const ours = readElf(path, bytes);
  if (ours.sections.length >= SHN_LORESERVE || ours.sections.length === 0) return ours;
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const theirs = (elfy as { parse(b: Buffer): { body: { sections: ElfySection[] } } }).parse(buffer).body
    .sections;
  if (theirs.length !== ours.sections.length)
    disagree('the section count', ours.sections.length, theirs.length);
  ours.sections.forEach((section: Section, i) => {
    const other = theirs[i] as ElfySection;
    const type = typeof other.type === 'number' ? other.type : typeNumbers.get(other.type);
    if (i > 0 && other.name !== section.name) disagree(`the name of section ${i}`, section.name, other.name);
    if (type !== section.type) disagree(`the type of ${section.name}`, section.type, other.type);
    if (other.size !== section.size) disagree(`the size of ${section.name}`, section.size, other.size);
    if (section.type === SHT_NOBITS || section.type === SHT_NULL) return;
    if (!sameBytes(other.data, ours.data(section)))
      disagree(`the contents of ${section.name}`, 'our bytes', 'bytes');
  });
  return ours;
}
