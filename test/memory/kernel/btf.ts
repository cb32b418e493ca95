// BTF of a few structures, written for tests (Documentation/bpf/btf.rst).

/** A member: its name, its type (`int`, `long`, `ptr`, `char[56]`, the name of a structure, `name[7]`) and its byte offset. */
export type BtfMemberRow = readonly [name: string, type: string, offset: number];

export interface BtfRows {
  readonly structs: Readonly<
    Record<string, { readonly size: number; readonly members: readonly BtfMemberRow[] }>
  >;
  readonly enums?: Readonly<Record<string, Readonly<Record<string, number>>>>;
}

/** A section `.BTF` for a little-endian machine. */
export function makeBtf({ structs, enums = {} }: BtfRows): Uint8Array {
  const strings = ['\0'];
  let length = 1;
  const text = (name: string) => {
    if (name === '') return 0;
    const at = length;
    strings.push(`${name}\0`);
    length += name.length + 1;
    return at;
  };
  const types: number[][] = [];
  const numbers = new Map<string, number>();
  const add = (words: number[]) => types.push(words);
  const info = (kind: number, vlen = 0) => kind * 2 ** 24 + vlen;
  numbers.set('int', add([text('int'), info(1), 4, 32]));
  numbers.set('char', add([text('char'), info(1), 1, 8]));
  numbers.set('long', add([text('long'), info(1), 8, 64]));
  numbers.set('ptr', add([0, info(2), 0]));
  for (const [name, values] of Object.entries(enums)) {
    const rows = Object.entries(values).flatMap(([value, number]) => [text(value), number]);
    numbers.set(name, add([text(name), info(6, rows.length / 2), 4, ...rows]));
  }
  // Structures have numbers before they have members, which may name each other; arrays come last.
  const firstStruct = types.length + 1;
  const names = Object.keys(structs);
  for (const [i, name] of names.entries()) numbers.set(name, firstStruct + i);
  const arrays: number[][] = [];
  const numberOf = (type: string): number => {
    const known = numbers.get(type);
    if (known !== undefined) return known;
    const [, of = '', count = '0'] = /^(.+)\[(\d+)\]$/.exec(type) ?? [];
    const element = numbers.get(of);
    if (element === undefined) throw new Error(`no type ${type}`);
    const number = firstStruct + names.length + arrays.length;
    arrays.push([0, info(3), 0, element, numbers.get('int') as number, Number(count)]);
    numbers.set(type, number);
    return number;
  };
  for (const { size, members, name } of names.map((of) => ({
    name: of,
    ...(structs[of] as BtfRows['structs'][string]),
  }))) {
    const rows = members.flatMap(([member, type, offset]) => [text(member), numberOf(type), offset * 8]);
    add([text(name), info(4, members.length), size, ...rows]);
  }
  for (const array of arrays) add(array);
  const words = types.flat();
  const bytes = new Uint8Array(24 + words.length * 4 + length);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, 0xeb9f, true);
  view.setUint8(2, 1);
  for (const [i, value] of [24, 0, words.length * 4, words.length * 4, length].entries())
    view.setUint32(4 + i * 4, value, true);
  for (const [i, word] of words.entries()) view.setUint32(24 + i * 4, word, true);
  bytes.set(Buffer.from(strings.join(''), 'latin1'), 24 + words.length * 4);
  return bytes;
}
