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

/**
 * Reads several files by one call, for a process each costs more than the reading. With `shift` new groups in front, section numbers of a file are given as they
 * stood without them.
 */
export function readelfAll(files: readonly (readonly [path: string, shift: number])[]): ReadelfView[] {
  const paths = files.map(([path]) => path);
  const { stdout, stderr } = tryRun('readelf', ['-WSsrg', ...paths]);
  const warnings = stderr.split('\n').filter((line) => line !== '');
  if (warnings.length > 0) throw new Error(`readelf ${paths.join(' ')}: ${warnings.slice(0, 5).join('; ')}`);
  const texts = stdout.split(/^File: .*$/m).slice(1);
  if (texts.length !== files.length) throw new Error(`readelf read ${texts.length} of ${paths.join(' ')}`);
  return files.map(([, shift], i) => viewOf(texts[i] as string, shift));
}

function viewOf(text: string, shift: number): ReadelfView {
  const sections: string[] = [];
  const symbols: string[] = [];
  const relocations: string[][] = [];
  const groups: string[] = [];
  const old = (index: string | number) => (Number(index) > shift ? Number(index) - shift : Number(index));
  for (const line of text.split('\n')) {
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
  return { sections, symbols, relocations, groups };
}

/** eu-elflint knows the notes of GNU's, and calls those of others unknown (elflint.c, check_note_data). */
export const unknownNote = /unknown object file note type 1[6-8] with owner name 'textpoke'/;

/**
 * What eu-elflint complains about, with numbers blanked out, sorted and each once. (Where it cannot name a
 * relocation's type, as on m68k, it takes symbol numbers for types; what it says of those means nothing.)
 */
export function elflint(file: string): string[] {
  return complaintsIn(tryRun('eu-elflint', ['--gnu-ld', file]).stdout);
}

/** What eu-elflint says of a second file alone; both are read by one call. */
export function newComplaints(before: string, after: string): string[] {
  const { stdout } = tryRun('eu-elflint', ['--gnu-ld', before, after]);
  const [first, second, ...more] = `\n${stdout}`.split(/\n\n\/.*:\n/).slice(1);
  if (first === undefined || second === undefined || more.length > 0)
    throw new Error(`eu-elflint ${before} ${after}: ${stdout}`);
  const known = new Set(complaintsIn(first));
  return complaintsIn(second).filter((line) => !/^(No errors)?$/.test(line) && !known.has(line));
}

function complaintsIn(text: string): string[] {
  const lines = text
    .split('\n')
    .filter((line) => !line.includes('<INVALID RELOC>') && !unknownNote.test(line))
    .map((line) => line.replace(/\[ *\d+\]/g, '[]').replace(/\d+/g, 'N'));
  return [...new Set(lines)].sort();
}
