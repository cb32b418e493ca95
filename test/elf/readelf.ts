// What GNU readelf says about an object, with every number that a rewrite may change replaced by what it names:
// two objects that mean the same read the same.
import { tryRun } from '../tools.ts';

export interface ReadelfView {
  /** Name, type, size, entry size, flags, alignment, and what sh_link and sh_info name, in section order. */
  readonly sections: readonly string[];
  /** Value, size, type, binding, visibility, section and name, in table order. */
  readonly symbols: readonly string[];
  /** For each relocation section in order: its name, then offset, type, symbol and addend of each row. */
  readonly relocations: readonly (readonly string[])[];
  /** For each group: kind, signature, member names. */
  readonly groups: readonly string[];
}

/** Reads `file`; with `shift` new groups in front, section numbers are given as they stood without them. */
export function readelf(file: string, shift = 0): ReadelfView {
  const result = tryRun('readelf', ['-WSsrg', file]);
  const warnings = result.stderr.split('\n').filter((line) => line !== '');
  const sections: string[] = [];
  const symbols: string[] = [];
  const relocations: string[][] = [];
  const groups: string[] = [];
  const old = (index: string | number) => (Number(index) > shift ? Number(index) - shift : Number(index));
  for (const line of result.stdout.split('\n')) {
    let match =
      /^ +\[ *(\d+)\] (.*?) +([A-Z0-9_+a-fx<>: ]+?) +([0-9a-f]{8,16}) ([0-9a-f]{6,}) ([0-9a-f]{6,}) ([0-9a-f]{2,}) (.*)$/.exec(
        line,
      );
    if (match) {
      const [, index, name, type, , , size, entsize, rest] = match as unknown as string[];
      // Flags may be absent; link, info and alignment always are there.
      const [, flags, link, info, align] = /^ *([A-Za-z]*) +(\d+) +(\d+) +(\d+)$/.exec(rest ?? '') ?? [];
      const infoNames = type === 'REL' || type === 'RELA' || flags?.includes('I') ? old(info as string) : '';
      sections.push(
        `${old(index as string)} ${name} ${type} size ${size} entsize ${entsize} ${flags} link ${old(link as string)} info ${infoNames} align ${align}`,
      );
      continue;
    }
    match = /^ +\d+: ([0-9a-f]+) +(\S+) (\S+) +(\S+) +(\S+)( +\[.*?\])? +(\S+)(?: (.*))?$/.exec(line);
    if (match && !line.includes('Symbol table')) {
      const [, value, size, type, bind, visibility, other, section, name] = match as unknown as string[];
      const where = /^\d+$/.test(section as string) ? old(section as string) : section;
      symbols.push(`${value} ${size} ${type} ${bind} ${visibility}${other ?? ''} ${where} ${name ?? ''}`);
      continue;
    }
    match = /^Relocation section '(.*)' at/.exec(line);
    if (match) {
      relocations.push([match[1] as string]);
      continue;
    }
    match = /^([0-9a-f]{8,16}) +[0-9a-f]{8,16} (.*)$/.exec(line);
    if (match) {
      relocations.at(-1)?.push(`${match[1]} ${match[2]?.replace(/ +/g, ' ')}`);
      continue;
    }
    match = /^ +(Type[23]: \S+)/.exec(line);
    if (match) {
      relocations.at(-1)?.push(match[1] as string);
      continue;
    }
    match = /^(\S*) ?group section \[ *\d+\] `(.*)' \[(.*)\] contains/.exec(line);
    if (match) groups.push(`${match[1]} ${match[2]} [${match[3]}]`);
    match = /^ {3}\[ *(\d+)\] {3}(.*)$/.exec(line);
    if (match && groups.length > 0) groups[groups.length - 1] += ` ${old(match[1] as string)}:${match[2]}`;
  }
  if (warnings.length > 0) throw new Error(`readelf ${file}: ${warnings.slice(0, 5).join('; ')}`);
  return { sections, symbols, relocations, groups };
}

/** eu-elflint knows the notes of GNU's, and calls those of others unknown (elflint.c, check_note_data). */
export const unknownNote = /unknown object file note type 1[6-8] with owner name 'textpoke'/;

/**
 * What eu-elflint complains about, with numbers blanked out, sorted and each once. (Where it cannot name a
 * relocation's type, as on m68k, it takes symbol numbers for types; what it says of those means nothing.)
 */
export function elflint(file: string): string[] {
  const lines = tryRun('eu-elflint', ['--gnu-ld', file])
    .stdout.split('\n')
    .filter((line) => !line.includes('<INVALID RELOC>') && !unknownNote.test(line))
    .map((line) => line.replace(/\[ *\d+\]/g, '[]').replace(/\d+/g, 'N'));
  return [...new Set(lines)].sort();
}
