// What `boot -o` writes runs with the new behaviour, verifies, and goes back to the very bytes it came from: keys,
// calls and locks, in every kind of image.
import assert from 'node:assert/strict';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { readElf } from '../../src/elf/read.ts';
import { Image } from '../../src/image/image.ts';
import { readStaticCalls } from '../../src/image/static-calls.ts';
import { longTest, rowsOf, run, toolTest, tryRun, turnOf } from '../tools.ts';
import {
  addressOf,
  assertSameFile,
  assertVerified,
  boot,
  bytesAt,
  expected,
  fileOffset,
  findings,
  fresh,
  hex,
  imageSymbols,
  type Link,
  link,
  lockPolicyFor,
  once,
  output,
  readTables,
  textpoke,
} from './programs.ts';

const tools = ['gcc', 'clang', 'ld.bfd', 'ld.lld', 'readelf', 'objdump'];

const fixed: readonly Link[] = [
  { set: 'gcc-O2', linker: 'bfd', kind: 'no-pie', script: 'ldscript' },
  { set: 'clang-Os', linker: 'lld', kind: 'no-pie', script: 'none' },
  { set: 'gcc-Os', linker: 'lld', kind: 'static', script: 'ldscript' },
  { set: 'clang-O2', linker: 'bfd', kind: 'static', script: 'none' },
];
const movable: readonly Link[] = [
  { set: 'gcc-O2-ffunction-sections', linker: 'bfd', kind: 'PIE', script: 'ldscript' },
  { set: 'gcc-O0-fPIE', linker: 'lld', kind: 'PIE', script: 'none' },
  { set: 'clang-O2-ffunction-sections', linker: 'bfd', kind: 'PIE', script: 'none' },
  { set: 'clang-O0-fPIE', linker: 'lld', kind: 'PIE', script: 'ldscript' },
  { set: 'gcc-O2-fPIC', linker: 'bfd', kind: 'shared', script: 'none' },
  { set: 'gcc-O2-fPIC', linker: 'lld', kind: 'shared', script: 'ldscript' },
  { set: 'clang-O2-fPIC', linker: 'bfd', kind: 'shared', script: 'ldscript' },
  { set: 'clang-O2-fPIC', linker: 'lld', kind: 'shared', script: 'none' },
];
const images = [...fixed, ...movable];

const nameOf = ({ set, linker, kind }: Link) => `${kind} of ${set} by ${linker}`;

/** Boots with `steps`, runs, verifies, boots back, and compares with what the first boot gave. */
function thereAndBack(
  request: Link,
  steps: (image: string) => readonly string[],
  back: (image: string) => readonly string[],
  changes: Readonly<Record<string, number>>,
  check?: (before: string, after: string) => void,
): void {
  const linked = link(request);
  const before = once(`booted ${JSON.stringify(request)}`, (path) => {
    assert.equal(textpoke(['boot', linked.image, '--cpus', '2', '-o', path]).status, 0);
  });
  const there = steps(before);
  const what = `${nameOf(request)}: ${there.join(' ')}`;
  const after = boot(before, there);
  assert.equal(output(linked, after), expected(changes), what);
  const cpus = there.includes('--cpus') ? '1' : '2';
  assertVerified(after, ['--original', before, '--cpus', cpus], what);
  assertVerified(after, ['--original', linked.image, '--cpus', cpus], what);
  check?.(before, after);
  const again = boot(after);
  assertSameFile(again, after, `booting a booted image changes nothing: ${what}`);
  const returned = boot(after, back(before));
  assertSameFile(returned, before, `back again: ${what}`);
}

/** The call, jump or other instruction at a site, and the function it goes to. */
function siteText(image: string, site: number): string {
  const bytes = Buffer.from(bytesAt(image, site, 6), 'hex');
  const to = (size: number) => {
    const target = site + size + bytes.readInt32LE(size - 4);
    return imageSymbols(image).find((s) => s.value === target && s.size > 0)?.name ?? hex(target);
  };
  if (bytes[0] === 0xe8) return `call ${to(5)}`;
  if (bytes[0] === 0xe9) return `jmp ${to(5)}`;
  if (bytes[0] === 0x0f && (bytes[1]! & 0xf0) === 0x80) return `jcc ${to(6)}`;
  return bytes.subarray(0, 5).toString('hex');
}

/** What the sites of one static call hold, sorted. */
function sitesOf(image: string, call: string): string[] {
  const key = addressOf(image, `__SCK__${call}`);
  return readTables(image)
    .calls.filter((entry) => (entry.key & ~3) === key)
    .map((entry) => siteText(image, entry.site))
    .sort();
}

for (const [turn, request] of rowsOf(images, 5).entries()) {
  /** npm test tries one of the three with each image. */
  const [first, second, third] = [0, 1, 2].map((n) => (n === turn % 3 ? toolTest : longTest)) as [
    typeof toolTest,
    typeof toolTest,
    typeof toolTest,
  ];
  first(`keys on and off change what runs, in a ${nameOf(request)}`, tools, () => {
    thereAndBack(
      request,
      () => ['--enable', 'off_key', '--disable', 'on_key'],
      () => ['--disable', 'off_key', '--enable', 'on_key'],
      {
        'likely true': 0,
        'likely false': 1,
        'unlikely true': 0,
        'unlikely false': 1,
        nested: 1,
        'cold body': 1001,
        'cold jump': 2,
      },
    );
    // Elements of arrays, a member by its offset, keys of another unit.
    thereAndBack(
      request,
      () => [
        ...['--enable', 'off_keys[0]', '--enable', 'off_keys[2]', '--disable', 'on_keys[1]'],
        ...['--enable', 'device+8', '--disable', 'shared_true', '--enable', 'shared_keys[3]'],
      ],
      () => [
        ...['--disable', 'off_keys[0]', '--disable', 'off_keys[2]', '--enable', 'on_keys[1]'],
        ...['--disable', 'device+8', '--enable', 'shared_true', '--disable', 'shared_keys[3]'],
      ],
      { 'array true': 0, 'array false': 1, member: 1, loop: 406, 'shared key': 4 },
    );
    // File-local keys repeat, so they go by address.
    const local = (image: string, name: RegExp, source: string) => hex(addressOf(image, name, source));
    const flips = (on: string, off: string) => (image: string) => [
      ...[on, local(image, /local_key/, 'local.c'), off, local(image, /local_key/, 'local2.c')],
      ...[off, local(image, /inner_key/, 'local.c')],
    ];
    const restores = (image: string) => [
      ...[
        '--disable',
        local(image, /local_key/, 'local.c'),
        '--enable',
        local(image, /local_key/, 'local2.c'),
      ],
      ...['--enable', local(image, /inner_key/, 'local.c')],
    ];
    thereAndBack(request, flips('--enable', '--disable'), restores, {
      'local branch': 1,
      'local2 branch': 2,
    });
  });

  second(
    `redirected calls go to the new function, also to NULL and RET0, in a ${nameOf(request)}`,
    tools,
    () => {
      thereAndBack(
        request,
        () => ['--update', 'math=add_ten', '--enable', 'call_key', '--update', 'shared_call=shared_other'],
        () => ['--update', 'math=add_one', '--disable', 'call_key', '--update', 'shared_call=shared_plain'],
        { call: 60, 'tail call': 31, 'call behind branch': 50, 'query add_one': 0, 'shared call': 403 },
      );
      thereAndBack(
        request,
        () => ['--update', 'probe=real_probe'],
        () => ['--update', 'probe=RET0'],
        { 'ret0 call': 26, 'ret0 tail call': 21 },
      );
      thereAndBack(
        request,
        () => ['--update', 'math=RET0', '--enable', 'call_key'],
        () => ['--update', 'math=add_one', '--disable', 'call_key'],
        { call: 0, 'tail call': 0, 'call behind branch': 0, 'query add_one': 0 },
        (_, after) => {
          for (const text of sitesOf(after, 'math')) {
            assert.match(text, /^(2e2e2e31c0|jmp __static_call_return0)$/);
          }
        },
      );
      // By way of a function that no call has any more, and of NULL: only the last value counts.
      thereAndBack(
        request,
        () => [
          '--update',
          'math=add_ten',
          '--update',
          'math=NULL',
          '--update',
          'math=add_ten',
          '--update',
          'math=add_one',
        ],
        () => [],
        {},
      );
      // File-local calls by the addresses of key and function.
      thereAndBack(
        request,
        (image) => {
          const key = addressOf(image, '__SCK__local_work', 'local.c');
          const other = addressOf(image, /^work$/, 'local2.c');
          return ['--update', `${hex(key)}=${hex(other)}`];
        },
        (image) => [
          '--update',
          `${hex(addressOf(image, '__SCK__local_work', 'local.c'))}=${hex(addressOf(image, /^work$/, 'local.c'))}`,
        ],
        { 'local call': 10 },
      );
    },
  );

  third(`on one CPU the locks are dropped, and two bring them back, in a ${nameOf(request)}`, tools, () => {
    const check = (before: string, after: string) => {
      const { locks } = readTables(after);
      assert.equal(locks.length, 6);
      for (const { lock } of locks) {
        assert.equal(bytesAt(before, lock, 1), 'f0');
        assert.equal(bytesAt(after, lock, 1), '3e');
      }
      const disassembly = (image: string) => {
        const at = addressOf(image, 'lock_all');
        const { size } = imageSymbols(image).find((s) => s.name === 'lock_all')!;
        return run('objdump', ['-d', `--start-address=${at}`, `--stop-address=${at + size}`, image]);
      };
      assert.equal(disassembly(before).match(/\tlock /g)?.length, 6);
      assert.equal(disassembly(after).match(/\tlock /g), null);
      assert.equal(disassembly(after).match(/\tds /g)?.length, 6);
    };
    thereAndBack(
      request,
      () => ['--cpus', '1'],
      () => ['--cpus', '2'],
      {},
      check,
    );
    // All at once, and all of it back.
    thereAndBack(
      request,
      () => ['--cpus', '1', '--enable', 'off_key', '--update', 'math=add_ten'],
      () => ['--cpus', '2', '--disable', 'off_key', '--update', 'math=add_one'],
      {
        'likely false': 1,
        'unlikely false': 1,
        nested: 3,
        'cold body': 1001,
        call: 60,
        'tail call': 31,
        'query add_one': 0,
      },
    );
  });
}

for (const request of rowsOf(fixed, 3)) {
  longTest(
    `calls that are NULL at first become calls, tail calls and conditional ones, in a ${nameOf(request)}`,
    tools,
    () => {
      thereAndBack(
        request,
        () => ['--update', 'notify=observe'],
        () => ['--update', 'notify=NULL'],
        { 'cond call': 9, 'cond tail call': 25, 'cond jump': 57 },
      );
      thereAndBack(
        request,
        () => ['--update', 'notify=observe', '--update', 'notify=observe_twice'],
        () => ['--update', 'notify=NULL'],
        { 'cond call': 17, 'cond tail call': 49, 'cond jump': 113 },
        (before, after) => {
          const last = request.set === 'clang-Os' ? 'jcc' : 'jmp';
          const goes = ['call observe_twice', `${last} observe_twice`, 'jmp observe_twice'].sort();
          assert.deepEqual(sitesOf(after, 'notify'), goes);
          // A conditional tail call of NULL goes to the trampoline, which holds a return.
          const rests = ['0f1f440000', 'c3cccccccc', last === 'jcc' ? 'jcc __SCT__notify' : 'c3cccccccc'];
          assert.deepEqual(sitesOf(before, 'notify'), rests.sort());
        },
      );
      const local = (image: string, what: string, name: RegExp) => hex(addressOf(image, name, `${what}.c`));
      thereAndBack(
        request,
        (image) => [
          '--update',
          `${local(image, 'local', /^__SCK__local_hook$/)}=${local(image, 'local', /^hook$/)}`,
        ],
        (image) => ['--update', `${local(image, 'local', /^__SCK__local_hook$/)}=NULL`],
        { 'local call': 8 },
      );
    },
  );
}

/** Dynamic relocations of an image: offset to `type symbol+addend`; and DT_RELACOUNT. */
function dynamicRelocations(image: string): { at: Map<number, string>; relative: number; counted: number } {
  const at = new Map<number, string>();
  let relative = 0;
  let leading = true;
  let inRelaDyn = false;
  for (const line of run('readelf', ['-rW', image]).split('\n')) {
    if (line.startsWith('Relocation section')) inRelaDyn = line.includes("'.rela.dyn'");
    const row = /^([0-9a-f]{16}) +[0-9a-f]+ (R_\S+) +(.*)$/.exec(line);
    if (!row || !inRelaDyn) continue;
    at.set(Number.parseInt(row[1]!, 16), `${row[2]} ${row[3]!.replace(/^[0-9a-f]{16} (?=\S)/, '')}`.trim());
    if (row[2] !== 'R_X86_64_RELATIVE') leading = false;
    if (leading) relative++;
  }
  const counted = /\(RELACOUNT\) +(\d+)/.exec(run('readelf', ['-dW', image]));
  return { at, relative, counted: Number(counted?.[1] ?? 0) };
}

for (const request of rowsOf(movable, 4)) {
  toolTest(
    `the loader does not undo an update: the pointer's relocation changes with it, in a ${nameOf(request)}`,
    tools,
    () => {
      const { image } = link(request);
      const booted = boot(image);
      const key = addressOf(image, '__SCK__math');
      const holds = (file: string) => dynamicRelocations(file).at.get(key);
      const relative = (file: string, name: string) =>
        `R_X86_64_RELATIVE ${addressOf(file, name).toString(16)}`;
      // A preemptible function has a symbolic relocation until boot binds the sites to it.
      if (request.kind === 'shared') assert.match(holds(image) ?? '', /^R_X86_64_64 add_one \+ 0$/);
      else assert.equal(holds(image), relative(image, 'add_one'));
      assert.equal(holds(booted), relative(image, 'add_one'));
      const updated = boot(booted, ['--update', 'math=add_ten']);
      assert.equal(holds(updated), relative(image, 'add_ten'));
      const zero = boot(booted, ['--update', 'math=RET0']);
      assert.equal(holds(zero), relative(image, '__static_call_return0'));
      for (const file of [image, booted, updated, zero]) {
        const { relative: found, counted } = dynamicRelocations(file);
        assert.ok(
          counted <= found,
          `${file}: DT_RELACOUNT ${counted}, ${found} leading relative relocations`,
        );
      }
    },
  );

  toolTest(
    `an update to NULL leaves the loader a relocation that does nothing, and DT_RELACOUNT right, in a ${nameOf(request)}`,
    tools,
    () => {
      const linked = link(request);
      const booted = boot(linked.image);
      const empty = boot(booted, ['--update', 'probe=NULL', '--update', 'math=NULL']);
      const { at, relative, counted } = dynamicRelocations(empty);
      // readelf prints R_X86_64_NONE records by the place they keep.
      assert.match(at.get(addressOf(empty, '__SCK__math')) ?? '', /^R_X86_64_NONE/);
      assert.match(at.get(addressOf(empty, '__SCK__probe')) ?? '', /^R_X86_64_NONE/);
      assert.ok(counted <= relative, `DT_RELACOUNT ${counted}, ${relative} leading relative relocations`);
      // Nothing fills the pointer, so NULL stands in it.
      assert.equal(bytesAt(empty, addressOf(empty, '__SCK__math'), 8), '0'.repeat(16));
      assertVerified(empty, ['--original', booted]);
      for (const text of [...sitesOf(empty, 'math'), ...sitesOf(empty, 'probe')])
        assert.match(text, /^(0f1f440000|c3cccccccc)$/);
      // The results of calls that do nothing are whatever was in the register; the rest is as before.
      const rest = (text: string) =>
        text
          .split('\n')
          .filter((line) => !/^(call|tail call|ret0 call|ret0 tail call|query add_one) /.test(line))
          .join('\n');
      assert.equal(rest(output(linked, empty)), rest(expected()));
      assert.match(output(linked, empty), /^query add_one 0$/m);
      const back = boot(empty, ['--update', 'probe=RET0', '--update', 'math=add_one']);
      assertSameFile(back, booted);
    },
  );

  toolTest(
    `a call that is NULL at first has no relocation to change: updating it is refused, in a ${nameOf(request)}`,
    tools,
    () => {
      const { image } = link(request);
      const before = readFileSync(image);
      const path = fresh('refused');
      const result = textpoke(['boot', image, '--update', 'notify=observe', '-o', path]);
      assert.equal(result.status, 1);
      assert.match(
        result.stderr,
        /__SCK__notify\.func = observe: .*no dynamic relocation.*\[store-refused\]/,
      );
      assert.equal(existsSync(path), false);
      assert.deepEqual(readFileSync(image), before);
    },
  );
}

/** Whether a linker takes -z pack-relative-relocs, or its own spelling of it. */
const packing = { bfd: '-Wl,-z,pack-relative-relocs', lld: '-Wl,--pack-dyn-relocs=relr' } as const;

for (const [turn, linker] of (['bfd', 'lld'] as const).entries()) {
  toolTest(
    `packed relative relocations (DT_RELR): ${linker} keeps the pointer in place, so updates go there`,
    tools,
    () => {
      for (const set of turnOf(['gcc-O2-ffunction-sections', 'clang-O0-fPIE'], turn)) {
        const request: Link = { set, linker, kind: 'PIE', script: 'ldscript', flags: [packing[linker]] };
        const linked = link(request);
        assert.match(run('readelf', ['-dW', linked.image]), /\(RELR\)/);
        // glibc starts a program with DT_RELR only when it asks for GLIBC_ABI_DT_RELR, which lld 14 cannot do.
        const canRun = tryRun(linked.image, []).status === 0;
        if (linker === 'bfd') assert.ok(canRun, 'the program that bfd linked runs');
        thereAndBackPacked(request, canRun);
      }
    },
  );
}

for (const packed of [false, true]) {
  const form = packed ? 'packed (SHT_RELR)' : 'SHT_RELA';
  toolTest(
    `without a dynamic segment, as an arm64 kernel is, relocations are known by section: ${form}`,
    tools,
    () => {
      const flags = packed ? [packing.bfd] : [];
      const { image } = link({
        set: 'gcc-O2-ffunction-sections',
        linker: 'bfd',
        kind: 'PIE',
        script: 'ldscript',
        flags,
      });
      const bytes = Uint8Array.from(readFileSync(image));
      const whole = new Image(readElf('whole', bytes.slice()));
      const view = new DataView(bytes.buffer);
      const at = Number(view.getBigUint64(32, true));
      for (let i = 0; i < view.getUint16(56, true); i++)
        if (view.getUint32(at + i * 56, true) === 2) view.setUint32(at + i * 56, 0, true);
      const without = new Image(readElf('without', bytes));
      const keys = [...readStaticCalls(whole).keys()];
      assert.ok(keys.length > 3, `${keys.length} keys`);
      for (const key of keys) assert.deepEqual(without.readPointer(key), whole.readPointer(key));
      const places = keys.map((key) => whole.dynamic.isPacked(key));
      assert.deepEqual(
        keys.map((key) => without.dynamic.isPacked(key)),
        places,
      );
      assert.equal(places.includes(true), packed);
    },
  );
}

function thereAndBackPacked(request: Link, canRun: boolean): void {
  const linked = link(request);
  const before = boot(linked.image);
  const after = boot(before, ['--update', 'math=add_ten', '--update', 'probe=real_probe']);
  const changes = { call: 60, 'tail call': 31, 'query add_one': 0, 'ret0 call': 26, 'ret0 tail call': 21 };
  if (canRun) assert.equal(output(linked, after), expected(changes));
  assertVerified(after, ['--original', linked.image]);
  assertSameFile(boot(after, ['--update', 'math=add_one', '--update', 'probe=RET0']), before);
  // The loader would add the load base to a NULL, too.
  const path = fresh('refused');
  const result = textpoke(['boot', before, '--update', 'math=NULL', '-o', path]);
  assert.equal(result.status, 1);
  assert.match(
    result.stderr,
    /the loader adds the load base to this pointer \(packed relocation, DT_RELR\).*\[store-refused\]/,
  );
  assert.equal(existsSync(path), false);
}

toolTest(
  'names that mean nothing, or more than one thing, are refused with status 2 and write nothing',
  tools,
  () => {
    const { image } = link(fixed[0]!);
    const before = readFileSync(image);
    const path = fresh('refused');
    for (const [steps, message] of [
      [['--enable', 'no_such_key'], /the key no_such_key is not a symbol of the image \[unknown-key\]/],
      [['--disable', 'no_such_keys[3]'], /the key no_such_keys is not a symbol.*\[unknown-key\]/],
      [['--enable', '[3]'], /is not a key; SYMBOL.*\[usage\]/],
      [['--update', 'no_call=add_one'], /the static call __SCK__no_call is not a symbol.*\[unknown-key\]/],
      [['--update', 'math=no_function'], /the function no_function is not a symbol.*\[unknown-key\]/],
      [
        ['--update', 'math=off_key'],
        /off_key is an object of 16 bytes in \.data, not a function.*\[unknown-key\]/,
      ],
      [['--update', 'math'], /CALL=FUNCTION/],
      [['--enable', 'local_key'], /2 symbols have the name local_key.*\[ambiguous-name\]/],
      [['--update', 'local_work=add_one'], /2 symbols have the name __SCK__local_work.*\[ambiguous-name\]/],
      [['--cpus', '0'], /integer of 1 or more/],
    ] as const) {
      const result = textpoke(['boot', image, ...steps, '-o', path]);
      assert.equal(result.status, 2, `${steps.join(' ')}: ${result.stderr}`);
      assert.match(result.stderr, message);
      assert.equal(existsSync(path), false);
    }
    assert.deepEqual(readFileSync(image), before);
  },
);

toolTest(
  'a key that no site uses, and one that has its value already, are said on stderr and are no error',
  tools,
  () => {
    const { image } = link(fixed[0]!);
    for (const [step, key, note] of [
      ['--enable', 'off_keys[1]', /no site uses the key off_keys\+0x10/],
      ['--enable', 'on_key', /on_key is already enabled/],
      ['--disable', 'off_key', /off_key is already disabled/],
    ] as const) {
      const result = textpoke(['boot', image, step, key]);
      assert.equal(result.status, 0);
      assert.match(result.stderr, note);
    }
  },
);

toolTest(
  'a site whose bytes are not what they must be is refused: both byte strings, both disassemblies, nothing written',
  tools,
  () => {
    const { image } = link(fixed[0]!);
    const { branches, calls, locks } = readTables(image);
    const booted = boot(image);
    for (const [site, bytes, shown] of [
      // A static branch that holds something else of five bytes, a NOP whose key wants another jump, a foreign call.
      [branches[0]!.code, '9090909090', /found +9090909090 .*nop[\s\S]*required +0f1f440000 .*nop/],
      [branches[0]!.code, 'e900000000', /found +e900000000 .*jmp[\s\S]*required +(0f1f440000 .*nop|e9.*jmp)/],
      [calls[0]!.site, 'e800000000', /found +e800000000 .*call[\s\S]*required +e8.* call/],
      [calls[0]!.site, '9090909090', /found +9090909090 .*nop[\s\S]*required +e8.* call/],
      [locks[0]!.lock, 'f2', /found +f2[\s\S]*required +f0/],
    ] as const) {
      for (const file of [image, booted]) {
        const broken = fresh('broken');
        const contents = readFileSync(file);
        contents.set(Buffer.from(bytes, 'hex'), fileOffset(file, site));
        writeFileSync(broken, contents);
        const path = fresh('refused');
        const result = textpoke(['boot', broken, '--cpus', '1', '-o', path]);
        assert.equal(result.status, 1, `${hex(site)} ${bytes}: ${result.stdout}${result.stderr}`);
        assert.match(result.stderr, shown);
        assert.match(result.stderr, /\[site-mismatch\]/);
        assert.match(result.stderr, new RegExp(hex(site)));
        assert.equal(existsSync(path), false);
        assert.deepEqual(readFileSync(broken), contents);
      }
    }
    assert.deepEqual(
      findings(booted).map((f) => f.rule),
      [],
    );
  },
);

const zeroKey = `#include "textpoke/static_key.h"
struct static_key_false zeroed; /* .bss: all zero, and not from the header's macro */
int use(void) { return static_branch_unlikely(&zeroed); }
int main(void) { return use(); }
`;

toolTest(
  'a key in .bss cannot be stored in a file: enabling it is refused, booting alone is not',
  tools,
  () => {
    const { image } = once2(zeroKey);
    const path = fresh('refused');
    const result = textpoke(['boot', image, '--enable', 'zeroed', '-o', path]);
    assert.equal(result.status, 1);
    assert.match(result.stderr, /zeroed is in \.bss.*\[store-refused\]/);
    assert.equal(existsSync(path), false);
    const booted = boot(image);
    assertVerified(booted, ['--original', image]);
  },
);

/** Compiles, annotates and links one small source of its own. */
function once2(source: string): { image: string } {
  const image = once(source.slice(0, 200), (path) => {
    writeFileSync(`${path}.c`, source);
    const include = new URL('../../include', import.meta.url).pathname;
    run('gcc', ['-c', '-O2', '-fno-pie', `-I${include}`, `${path}.c`, '-o', `${path}.o`]);
    assert.equal(textpoke(['annotate', `${path}.o`]).status, 0);
    run('gcc', ['-no-pie', `${path}.o`, '-o', path]);
  });
  return { image };
}

toolTest(
  'a stripped image boots and verifies as well, by the shape of its trampolines',
  [...tools, 'strip'],
  () => {
    for (const request of rowsOf([fixed[0]!, fixed[3]!, movable[0]!, movable[3]!, movable[4]!], 2)) {
      const linked = link(request);
      const stripped = fresh('stripped');
      run('strip', ['-s', linked.image, '-o', stripped]);
      const locks = lockPolicyFor(linked.image);
      assertVerified(stripped, [...locks, '--linked'], nameOf(request));
      const booted = boot(stripped, ['--cpus', '1']);
      assert.equal(output(linked, booted), expected(), nameOf(request));
      assertVerified(booted, [...locks, '--original', stripped, '--cpus', '1'], nameOf(request));
      // Without names, keys go by their addresses.
      const key = hex(addressOf(linked.image, 'off_key'));
      const enabled = boot(stripped, ['--enable', key]);
      assert.match(output(linked, enabled), /^unlikely false 1$/m);
      assert.equal(textpoke(['boot', stripped, '--enable', 'off_key']).status, 2);
    }
  },
);

toolTest(
  "relocations that the linker kept (--emit-relocs) are in nobody's way, and -o may not be the image itself",
  tools,
  () => {
    for (const linker of ['bfd', 'lld'] as const) {
      const linked = link({
        set: 'gcc-O2',
        linker,
        kind: 'no-pie',
        script: 'ldscript',
        flags: ['-Wl,--emit-relocs'],
      });
      const booted = boot(linked.image);
      assert.equal(output(linked, booted), expected());
      assertVerified(booted, ['--original', linked.image]);
      const itself = boot(linked.image);
      const enabled = boot(itself, ['--enable', 'off_keys[2]']);
      assert.equal(output(linked, enabled), expected({ 'array false': 1 }));
      const before = readFileSync(itself);
      assert.equal(textpoke(['boot', itself, '--enable', 'off_keys[2]', '-o', itself]).status, 2);
      assert.deepEqual(readFileSync(itself), before);
    }
  },
);
