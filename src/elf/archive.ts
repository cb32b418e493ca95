// `ar` archives: GNU (`/`, `//`, `/SYM64/`) and BSD (`#1/len`, `__.SYMDEF`) forms. Members may change size; order,
// headers and everything else stay, and the symbol index follows the members that move.
import { ByteView } from '../bytes/view.ts';
import { TextpokeError } from '../errors.ts';
import { type ByteSource, memorySource } from '../files/source.ts';

const magic = '!<arch>\n';
const thinMagic = '!<thin>\n';
/** struct ar_hdr: name 16, date 12, uid 6, gid 6, mode 8, size 10, and the terminator 60 0a. */
const headerSize = 60;
const sizeAt = 48;
const terminatorAt = 58;

export interface ArchiveMember {
  /** Name as a person knows it: long names resolved, GNU's trailing slash dropped. */
  readonly name: string;
  /** Byte offset of the member's header in the archive. */
  readonly headerOffset: number;
  /** Byte offset of the content (behind a BSD long name) and its size. */
  readonly offset: number;
  readonly size: number;
  /** Index and name tables are members too, but hold no object. */
  readonly special: 'gnu index' | 'gnu index 64' | 'bsd index' | 'bsd index 64' | 'names' | undefined;
}

const specialNames: Readonly<Record<string, ArchiveMember['special']>> = {
  '/': 'gnu index',
  '/SYM64/': 'gnu index 64',
  '//': 'names',
  '__.SYMDEF': 'bsd index',
  '__.SYMDEF SORTED': 'bsd index',
  '__.SYMDEF_64': 'bsd index 64',
  '__.SYMDEF_64 SORTED': 'bsd index 64',
};

function ascii(bytes: Uint8Array, from: number, to: number): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset + from, to - from).toString('latin1');
}

export function isArchive(bytes: Uint8Array): boolean {
  const start = ascii(bytes, 0, Math.min(8, bytes.length));
  return start === magic || start === thinMagic;
}

function malformed(offset: number, message: string): never {
  throw new TextpokeError('archive-malformed', message, { offset });
}

/** Long names by their offset in the `//` member, where each ends in a slash and a newline. */
function readLongNames(text: string): Map<number, string> {
  const names = new Map<number, string>();
  for (let from = 0; from < text.length; ) {
    const to = text.indexOf('\n', from);
    if (to < 0) break;
    if (to > from) names.set(from, text.slice(from, text[to - 1] === '/' ? to - 1 : to));
    from = to + 1;
  }
  return names;
}

/** The members of an archive, in order; of a file only their headers are read. Errors: `archive-thin`, `archive-malformed`. */
export function readArchive(archive: Uint8Array | ByteSource): ArchiveMember[] {
  const source = archive instanceof Uint8Array ? memorySource(archive) : archive;
  const textAt = (from: number, to: number) => ascii(source.read(from, to - from), 0, to - from);
  const start = textAt(0, Math.min(8, source.size));
  if (start === thinMagic) {
    throw new TextpokeError(
      'archive-thin',
      'a thin archive contains only the names of its members; annotate the objects, or make a regular archive',
    );
  }
  if (start !== magic) malformed(0, 'the archive does not start with !<arch>');
  const members: ArchiveMember[] = [];
  let longNames: ReadonlyMap<number, string> = new Map();
  for (let at = magic.length; at < source.size; ) {
    if (at + headerSize > source.size) malformed(at, 'the archive ends inside a member header');
    const header = textAt(at, at + headerSize);
    if (!header.endsWith('`\n')) malformed(at + terminatorAt, 'a member header does not end in 60 0a');
    const digits = header.slice(sizeAt, terminatorAt).trim();
    if (!/^\d+$/.test(digits)) {
      const found = JSON.stringify(digits);
      malformed(at + sizeAt, `the size of a member is ${found}; a decimal number is required`);
    }
    const size = Number(digits);
    const content = at + headerSize;
    if (content + size > source.size) {
      malformed(
        at + sizeAt,
        `a member needs ${size} bytes, but only ${source.size - content} are left in the archive`,
      );
    }
    const raw = header.slice(0, 16).trimEnd();
    const long = /^(\/|#1\/)(\d+)$/.exec(raw);
    const number = Number(long?.[2]);
    let name = raw.length > 1 && raw.endsWith('/') ? raw.slice(0, -1) : raw;
    let offset = content;
    if (long?.[1] === '/') {
      name =
        longNames.get(number) ?? malformed(at, `no long name starts at byte ${number} of the name table`);
    } else if (long) {
      if (number > size)
        malformed(at, `a BSD name of ${number} bytes does not fit its member of ${size} bytes`);
      name = textAt(content, content + number).replace(/\0+$/, '');
      offset += number;
    }
    const special = specialNames[long ? name : raw];
    if (special === 'names') longNames = readLongNames(textAt(content, content + size));
    members.push({ name, headerOffset: at, offset, size: content + size - offset, special });
    at = content + size + (size % 2);
  }
  return members;
}

/**
 * The archive with new contents for some members (by position). Padding, headers and order stay; offsets in the
 * symbol index are those of the members' new headers. Errors: `archive-malformed` for an index that names no
 * member, or that cannot hold the new offsets.
 */
export function rewriteArchive(
  bytes: Uint8Array,
  members: readonly ArchiveMember[],
  contents: ReadonlyMap<number, Uint8Array>,
): Uint8Array {
  const parts: Uint8Array[] = [bytes.subarray(0, magic.length)];
  const moved = new Map<number, number>();
  const indexParts: { member: ArchiveMember; at: number }[] = [];
  let position = magic.length;
  members.forEach((member, i) => {
    moved.set(member.headerOffset, position);
    const changed = contents.get(i);
    const content = changed ?? bytes.subarray(member.offset, member.offset + member.size);
    const head = bytes.slice(member.headerOffset, member.offset);
    if (changed) {
      const stored = member.offset - member.headerOffset - headerSize + changed.length;
      const text = String(stored);
      if (text.length > terminatorAt - sizeAt)
        malformed(member.headerOffset, `the size of a member (${stored} bytes) does not fit its header`);
      head.set(new TextEncoder().encode(text.padEnd(terminatorAt - sizeAt)), sizeAt);
    }
    if (member.special?.includes('index')) indexParts.push({ member, at: position + head.length });
    parts.push(head, content);
    position += head.length + content.length;
    // Member headers are 2-aligned; the very last pad byte may be missing in a file that never had it.
    const end = member.offset + member.size;
    if (position % 2 !== 0 && (i + 1 < members.length || end < bytes.length || end % 2 === 0)) {
      parts.push(Uint8Array.of(0x0a));
      position++;
    }
  });
  const out = new Uint8Array(Buffer.concat(parts));
  for (const { member, at } of indexParts) {
    moveIndex(out.subarray(at, at + member.size), member, moved);
  }
  return out;
}

/** Replaces every member offset in a symbol index; `moved` maps old header offsets to new ones. */
function moveIndex(index: Uint8Array, member: ArchiveMember, moved: ReadonlyMap<number, number>): void {
  const place = { section: member.name };
  const wide = member.special?.endsWith('64') ?? false;
  const width = wide ? 8 : 4;
  const fail = (offset: number, message: string): never => {
    throw new TextpokeError('archive-malformed', message, { ...place, offset });
  };
  if (index.length === 0) return;
  if (index.length < width) fail(0, `the symbol index has ${index.length} bytes; ${width} are required`);
  const follow = (view: ByteView, offset: number) => {
    const old = wide ? Number(view.u64(offset)) : view.u32(offset);
    const at = moved.get(old) ?? fail(offset, `the symbol index names byte ${old}, where no member starts`);
    if (!wide && at > 0xffff_ffff) {
      fail(offset, `a member now starts at byte ${at}, beyond the limit of the symbol index (4 GiB)`);
    }
    if (wide) view.setU64(offset, BigInt(at));
    else view.setU32(offset, at);
  };
  if (member.special?.startsWith('gnu')) {
    // A big-endian count, as many member offsets, then as many names.
    const view = new ByteView(index, false, place);
    const count = wide ? Number(view.u64(0)) : view.u32(0);
    if (width * (1 + count) > index.length) fail(0, `${count} symbols do not fit ${index.length} bytes`);
    for (let i = 1; i <= count; i++) follow(view, i * width);
  } else {
    // The table's size in bytes, then struct ranlib { name; offset; } in the byte order of its maker, then names.
    const fits = (little: boolean) => {
      const view = new ByteView(index, little, place);
      const size = wide ? Number(view.u64(0)) : view.u32(0);
      return width + size <= index.length && size % (2 * width) === 0 ? { view, size } : undefined;
    };
    const table =
      fits(true) ?? fits(false) ?? fail(0, 'the size field of the symbol index does not match the index');
    for (let at = 2 * width; at < width + table.size; at += 2 * width) follow(table.view, at);
  }
}
