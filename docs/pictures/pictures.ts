// The pictures of docs/concepts.md, of the demo's program: its committed objects are annotated, linked and booted, and
// what is drawn is what came of it.
import { fileURLToPath } from 'node:url';
import { annotate, boot, dump, link } from '../../src/index.ts';
import { arrow, box, bytes, picture, text } from './svg.ts';

type Place = { readonly address: string; readonly symbol?: string; readonly symbolOffset?: number };
interface Tables {
  readonly jumpTable: readonly (Record<'site' | 'target' | 'key', Place> & {
    readonly branch: string;
    readonly instruction: { readonly bytes: string };
  })[];
  readonly staticCallSites: readonly (Record<'site' | 'key', Place> & {
    readonly instruction: { readonly bytes: string };
  })[];
  readonly smpLocks: readonly { readonly site: Place; readonly byte: string }[];
}

const nameOf = ({ symbol = '?', symbolOffset = 0 }: Place) =>
  symbolOffset === 0 ? symbol : `${symbol}+0x${symbolOffset.toString(16)}`;

const objects = ['main.o', 'work.o'].map((name) => {
  const { bytes: annotated } = annotate(
    fileURLToPath(new URL(`../../samples/demo/${name}`, import.meta.url)),
  );
  return { name, bytes: annotated };
});
const image = { name: 'demo', bytes: link(objects).bytes };
const steps = [{ do: 'enable', key: 'tracing' } as const];
const { document: booted } = await boot(image, { cpus: 1, steps });
const tables = (await dump(image)).document.files[0] as unknown as Tables;
const branch = tables.jumpTable.find(({ site }) => site.symbol === 'count') ?? fail('no branch');
const call = tables.staticCallSites[0] ?? fail('no call');
const lock = tables.smpLocks[0] ?? fail('no lock');

function fail(what: string): never {
  throw new Error(`the demo has ${what}`);
}

/** What stands at a place after the first writes of some phases; a write that is told by steps is several. */
function after(address: string, before: string, phases: readonly string[]): string {
  const now = before.match(/../g) ?? [];
  for (const write of booted.writes) {
    if (!phases.includes(write.phase)) continue;
    const from = Number(BigInt(write.address) - BigInt(address));
    for (const [i, byte] of (write.after.match(/../g) ?? []).entries())
      if (now[from + i] !== undefined) now[from + i] = byte;
  }
  return now.join('');
}

const site = branch.site.address;
const off = branch.instruction.bytes;
const on = after(site, off, ['run time']);

function sitePicture(): string {
  const row = (y: number, key: string, hex: string, jumps: boolean, words: string) => [
    text(20, y + 18, key, 'strong'),
    bytes(150, y, hex, () => true),
    text(150, y + 48, words, 'quiet'),
    box(390, y - 4, 150, ['++counter; ret']),
    box(592, y - 4, 148, ['say("trace"...)']),
    jumps
      ? arrow([310, y + 13], [350, y + 13], [350, y - 18], [665, y - 18], [665, y - 6])
      : arrow([312, y + 13], [388, y + 13]),
    ...(jumps ? [arrow([590, y + 13], [542, y + 13])] : []),
  ];
  return picture(
    760,
    250,
    'The site of a static branch',
    `While the key is off the site is a NOP (${off}) and the code runs on; while it is on the site is a jump (${on}) to the body, which jumps back.`,
    [
      text(20, 32, 'if (static_branch_unlikely(&tracing)) say("trace", ...);', ''),
      text(540, 32, `site ${nameOf(branch.site)}, ${site}`, 'quiet'),
      ...row(84, 'tracing off', off, false, 'a NOP of full width'),
      ...row(176, 'tracing on', on, true, `a jump to ${nameOf(branch.target)}`),
    ],
  );
}

function entryPicture(): string {
  const fields = [
    ['code', branch.site, 'the site'],
    ['target', branch.target, 'where a jump leads'],
    ['key', branch.key, 'who decides'],
  ] as const;
  return picture(
    760,
    300,
    'An entry of __jump_table',
    'Three fields, each the distance from itself to a place: the site, where its jump leads, and the key with two bits of flags.',
    [
      text(20, 32, 'struct jump_entry, one for each site', 'strong'),
      ...fields.flatMap(([name, place, words], i) => {
        const y = 56 + 76 * i;
        const look = name === 'key' ? 'key' : name === 'code' ? 'hot' : 'box';
        return [
          box(20, y, 210, [`${name}: ${name === 'key' ? 'long' : 'int'}`, words]),
          arrow([232, y + 25], [398, y + 25]),
          text(250, y + 17, 'field + value', 'quiet'),
          box(
            400,
            y,
            330,
            [
              `${nameOf(place)}  ${place.address}`,
              ...(name === 'key'
                ? ['bit 0: likely, bit 1: init text']
                : name === 'code'
                  ? [(branch.instruction.bytes.match(/../g) ?? []).join(' ')]
                  : ['in the same function']),
            ],
            look,
          ),
        ];
      }),
    ],
  );
}

function bootPicture(): string {
  const phases = [
    ['as linked', []],
    ['branches', ['jump_label_init']],
    ['calls', ['jump_label_init', 'static_call_init']],
    ['one CPU', ['jump_label_init', 'static_call_init', 'SMP alternatives']],
    ['tracing on', ['jump_label_init', 'static_call_init', 'SMP alternatives', 'run time']],
  ] as const;
  const rows = [
    [nameOf(call.site), call.site.address, call.instruction.bytes],
    [nameOf(branch.site), site, off],
    [nameOf(lock.site), lock.site.address, lock.byte],
  ] as const;
  const column = (i: number) => 140 + 154 * i;
  return picture(
    920,
    220,
    'Boot, phase by phase',
    'What stands at three sites as linked, after the branches, after the calls, after the locks of one CPU, and after the key is switched on.',
    [
      ...phases.map(([name], i) => text(column(i), 32, name, 'strong')),
      ...rows.flatMap(([name, address, linked], r) => {
        const y = 56 + 52 * r;
        let before = linked;
        return [
          text(20, y + 20, name),
          ...phases.map(([, done], i) => {
            const now = after(address, linked, done);
            const changed = now !== before;
            before = now;
            const words = (now.match(/../g) ?? []).join(' ');
            return box(column(i), y, 144, [words], changed ? 'hot' : 'box');
          }),
        ];
      }),
    ],
  );
}

function pokePicture(): string {
  const writes = booted.writes.filter(
    ({ address, what, phase }) =>
      what === 'text' &&
      phase === 'run time' &&
      BigInt(address) - BigInt(site) < 5n &&
      BigInt(address) >= BigInt(site),
  );
  const words = ['the old instruction', 'breakpoint', 'the end of the new one', 'its first byte'];
  const runs = ['runs the NOP', 'is led to the new instruction', 'is led to the new instruction', 'jumps'];
  let now = off;
  const rows = [{ bytes: now, changed: [] as number[] }];
  for (const write of writes) {
    const from = Number(BigInt(write.address) - BigInt(site));
    const count = write.after.length / 2;
    now = now.slice(0, 2 * from) + write.after + now.slice(2 * (from + count));
    rows.push({ bytes: now, changed: Array.from({ length: count }, (_, i) => from + i) });
  }
  return picture(
    760,
    320,
    'A live poke',
    'Three writes: a breakpoint over the first byte, the other bytes, the first byte. All CPUs are synchronised behind each, and a thread that comes by runs the old instruction or the new one, whole.',
    [
      text(20, 32, 'what is written', 'strong'),
      text(250, 32, 'the site', 'strong'),
      text(450, 32, 'a thread that comes by', 'strong'),
      ...rows.flatMap((row, i) => {
        const y = 50 + 62 * i;
        return [
          text(20, y + 18, i === 0 ? (words[0] as string) : `${i}. ${words[i]}`),
          bytes(250, y, row.bytes, (at) => row.changed.includes(at)),
          text(450, y + 18, runs[i] as string),
          ...(i > 0 ? [text(450, y + 46, 'all CPUs are synchronised', 'quiet')] : []),
          ...(i < rows.length - 1 ? [arrow([328, y + 30], [328, y + 58])] : []),
        ];
      }),
    ],
  );
}

/** The pictures by their files. */
export const pictures: Readonly<Record<string, string>> = {
  'site.svg': sitePicture(),
  'entry.svg': entryPicture(),
  'boot.svg': bootPicture(),
  'poke.svg': pokePicture(),
};
