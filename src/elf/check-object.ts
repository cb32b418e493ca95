// What has to hold before an object is rewritten: whoever moves sections and symbols trusts every number in it.
// Reading is more forgiving, for a damaged part that nobody asks for does no harm there.
import { ByteView } from '../bytes/view.ts';
import { TextpokeError } from '../errors.ts';
import { SHF_INFO_LINK, SHT_CREL, SHT_GROUP, SHT_NOBITS, SHT_NULL, SHT_REL, SHT_RELA } from './constants.ts';
import type { ElfFile, Section } from './file.ts';
import { Ehdr, identSize, Shdr } from './records.ts';

function malformed(section: Section, message: string, offset?: number): never {
  const name = section.name || `section ${section.index}`;
  throw new TextpokeError('elf-malformed', message, { section: name, offset });
}

/** True when sh_info is a section number (gABI table 4-16: relocations, and whatever has SHF_INFO_LINK). */
export function namesSection(section: Section): boolean {
  return section.type === SHT_RELA || section.type === SHT_REL || (section.flags & SHF_INFO_LINK) !== 0;
}

/**
 * Throws unless the object can be rewritten without guessing: numbers of sections and symbols in range, groups and
 * relocations belonging to `symtab`, no two parts of the file sharing bytes. Errors: `elf-malformed`,
 * `elf-unsupported`.
 */
export function checkObject(file: ElfFile, symtab: Section): void {
  const { header, sections } = file;
  if (Number.isNaN(header.entry)) {
    throw new TextpokeError(
      'elf-malformed',
      'e_entry is not a canonical address; 0 is required in an object',
    );
  }
  if (symtab.info === 0) malformed(symtab, 'sh_info is 0; the null symbol counts as local, so 1 is required');
  // From here on sh_info is at most the symbol count (SymbolTable), so there is a null symbol.
  const symbolCount = file.symbols(symtab).count;
  for (const section of sections) {
    if (section.type === SHT_NULL) continue;
    if (Number.isNaN(section.addr)) malformed(section, 'sh_addr is not a canonical address');
    if (section.link >= sections.length) {
      malformed(section, `sh_link is ${section.link}, but the file has ${sections.length} sections`);
    }
    if (namesSection(section) && section.info >= sections.length) {
      malformed(section, `sh_info is ${section.info}, but the file has ${sections.length} sections`);
    }
    switch (section.type) {
      case SHT_REL:
      case SHT_RELA:
        if (section.link !== symtab.index && section.link !== 0) {
          malformed(section, `sh_link is ${section.link}; the symbol table is section ${symtab.index}`);
        }
        break;
      case SHT_CREL:
        file.relocationSections(section.info); // refuses it
        break;
      case SHT_GROUP:
        checkGroup(file, section, symtab, symbolCount);
        break;
    }
  }
  refuseOverlaps(file);
}

function checkGroup(file: ElfFile, group: Section, symtab: Section, symbolCount: number): void {
  if (group.link !== symtab.index) {
    malformed(group, `sh_link is ${group.link}; the symbol table is section ${symtab.index}`);
  }
  if (group.info >= symbolCount) {
    malformed(group, `the signature is symbol ${group.info}, but the symbol table has ${symbolCount}`);
  }
  const words = new ByteView(file.data(group), file.header.little, { section: group.name });
  if (group.size < 4 || group.size % 4 !== 0) {
    malformed(
      group,
      `the group has ${group.size} bytes; a flag word and a 4-byte word for each member are required`,
    );
  }
  for (let at = 4; at < group.size; at += 4) {
    const member = words.u32(at);
    if (member === 0 || member >= file.sections.length || member === group.index) {
      malformed(group, `a member is section ${member}; 1 to ${file.sections.length - 1} is required`, at);
    }
  }
}

/** Moving apart what shares bytes would multiply it: a small file could ask for terabytes. */
function refuseOverlaps(file: ElfFile): void {
  const { class: bits, shoff } = file.header;
  const parts = file.sections
    .filter((s) => s.type !== SHT_NULL && s.type !== SHT_NOBITS && s.size > 0)
    .map((s) => ({ what: s.name || `section ${s.index}`, from: s.offset, to: s.offset + s.size }));
  parts.push({ what: 'the file header', from: 0, to: identSize + Ehdr[bits].size });
  parts.push({
    what: 'the section header table',
    from: shoff,
    to: shoff + file.sections.length * Shdr[bits].size,
  });
  parts.sort((a, b) => a.from - b.from);
  for (let i = 1; i < parts.length; i++) {
    const [a, b] = [parts[i - 1], parts[i]] as [(typeof parts)[0], (typeof parts)[0]];
    if (b.from < a.to) {
      throw new TextpokeError('elf-malformed', `${b.what} overlaps ${a.what}`, { offset: b.from });
    }
  }
}
