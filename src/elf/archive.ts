// `ar` archives: GNU (`/`, `//`, `/SYM64/`) and BSD (`#1/len`, `__.SYMDEF`) forms. Members may change size; order,
// headers and everything else stay, and the symbol index follows the members that move.
import { ByteView } from '../bytes/view.ts';
import { TextpokeError } from '../errors.ts';

const magic = '!<arch>\n';
const thinMagic = '!<thin>\n';
const headerSize = 60;

export interface ArchiveMember {
  /** Name as a person knows it: long names resolved, GNU's trailing slash dropped. */
  readonly name: string;
  /** Byte offset of the member's header in the archive. */
  readonly headerOffset: number;
  /** Byte offset of the content (behind a BSD long name) and its size. */
  readonly offset: number;
  readonly size: number;
  /** Index and name tables are members too, but hold no object. */
  readonly special: 'gnu index' | 'gnu index 64' | 'bsd index' | 'names' | undefined;
}

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

function decimal(bytes: Uint8Array, from: number, to: number, what: string): number {
  const text = ascii(bytes, from, to).trim();
  if (!/^\d+$/.test(text))
    malformed(from, `${what} is ${JSON.stringify(text)}; a decimal number is required`);
  return Number(text);
}

/** The members of an archive, in order. Errors: `archive-thin`, `archive-malformed`. */
export function readArchive(bytes: Uint8Array): ArchiveMember[] {
  if (ascii(bytes, 0, Math.min(8, bytes.length)) === thinMagic) {
    throw new TextpokeError(
      'archive-thin',
      'a thin archive only names its members; annotate the objects themselves, or make a regular archive',
    );
  }
  const members: ArchiveMember[] = [];
  let names = '';
  for (let at = magic.length; at < bytes.length; ) {
    if (at + headerSize > bytes.length) malformed(at, 'the archive ends inside a member header');
    if (bytes[at + 58] !== 0x60 || bytes[at + 59] !== 0x0a) {
      malformed(at + 58, 'a member header has to end in 60 0a');
    }
    const size = decimal(bytes, at + 48, at + 58, 'the size of a member');
    const content = at + headerSize;
    if (content + size > bytes.length) {
      malformed(at, `a member needs ${size} bytes, but only ${bytes.length - content} are left`);
    }
    const raw = ascii(bytes, at, at + 16).trimEnd();
    let name = raw.endsWith('/') ? raw.slice(0, -1) : raw;
    let offset = content;
    let special: ArchiveMember['special'];
    if (raw === '/') special = 'gnu index';
    else if (raw === '/SYM64/') special = 'gnu index 64';
    else if (raw === '//') {
      special = 'names';
      names = ascii(bytes, content, content + size);
    } else if (/^\/\d+$/.test(raw)) {
      const from = Number(raw.slice(1));
      const to = names.indexOf('/\n', from);
      if (from >= names.length || to < 0) malformed(at, `the long name at ${from} does not exist`);
      name = names.slice(from, to);
    } else if (/^#1\/\d+$/.test(raw)) {
      const length = Number(raw.slice(3));
      if (length > size) malformed(at, `a BSD name of ${length} bytes does not fit its member of ${size}`);
      name = ascii(bytes, content, content + length).replace(/\0+$/, '');
      offset += length;
    }
    if (name.startsWith('__.SYMDEF')) special = 'bsd index';
    members.push({ name, headerOffset: at, offset, size: content + size - offset, special });
    at = content + size + (size % 2);
  }
  return members;
}

/**
 * The archive with new contents for some members (by position). Padding, headers and order stay; offsets in the
 * symbol index are those of the members' new headers.
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
    const content = contents.get(i) ?? bytes.subarray(member.offset, member.offset + member.size);
    const head = bytes.slice(member.headerOffset, member.offset);
    const stored = member.offset - member.headerOffset - headerSize + content.length;
    const text = String(stored);
    if (text.length > 10)
      malformed(member.headerOffset, `a member of ${stored} bytes does not fit its header`);
    head.set(new TextEncoder().encode(text.padEnd(10)), 48);
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

function moveIndex(index: Uint8Array, member: ArchiveMember, moved: ReadonlyMap<number, number>): void {
  const place = { section: member.name };
  const follow = (old: number, offset: number): number => {
    const at = moved.get(old);
    if (at === undefined) {
      throw new TextpokeError(
        'archive-malformed',
        `the symbol index names byte ${old}, where no member starts`,
        {
          ...place,
          offset,
        },
      );
    }
    return at;
  };
  if (member.special === 'gnu index') {
    const view = new ByteView(index, false, place);
    const count = view.u32(0);
    for (let i = 1; i <= count; i++) view.setU32(i * 4, follow(view.u32(i * 4), i * 4));
  } else if (member.special === 'gnu index 64') {
    const view = new ByteView(index, false, place);
    const count = Number(view.u64(0));
    for (let i = 1; i <= count; i++) view.setU64(i * 8, BigInt(follow(Number(view.u64(i * 8)), i * 8)));
  } else {
    // struct ranlib { u32 name; u32 offset; }, behind the table's size in bytes, in the byte order of its maker.
    const little = new ByteView(index, true, place).u32(0) <= index.length;
    const view = new ByteView(index, little, place);
    const size = view.u32(0);
    for (let at = 8; at < 4 + size; at += 8) view.setU32(at, follow(view.u32(at), at));
  }
}
