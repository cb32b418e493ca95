// AArch64 from objects to running programs: annotated objects link with both linkers, run under qemu, boot, change and
// change back. How many entries an image has to list is counted from its objects.
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { readElf } from '../../src/elf/read.ts';
import { readObjectTable } from '../../src/tables/object-tables.ts';
import { jumpTable, staticCallSites } from '../../src/tables/schema.ts';
import { objectCode } from '../samples.ts';
import { run, toolTest, tryRun } from '../tools.ts';
import {
  addressOf,
  allSets,
  annotated,
  assertVerified,
  boot,
  bytesAt,
  comdatOutput,
  comdatUnits,
  countEntries,
  expected,
  findings,
  fresh,
  imageSymbols,
  type Linker,
  linkers,
  namesOf,
  once,
  plain,
  readTables,
  type Script,
  sameFile,
  scriptPath,
  textpoke,
  units,
} from './programs.ts';

const sets = allSets.filter((set) => set.startsWith('aarch64-'));
const emulator = ['qemu-aarch64', '-L', '/usr/aarch64-linux-gnu'];
const tools = ['aarch64-linux-gnu-gcc', 'clang', 'ld.lld', 'qemu-aarch64', 'readelf'];
const include = fileURLToPath(new URL('../../include', import.meta.url));
type Kind = '-static' | '-no-pie' | '-pie';

/** gcc's driver links with GNU ld, clang's with lld. */
const drivers: Record<Linker, { c: string[]; cxx: string[]; ld: string }> = {
  bfd: { c: ['aarch64-linux-gnu-gcc'], cxx: ['aarch64-linux-gnu-g++'], ld: 'aarch64-linux-gnu-ld' },
  lld: {
    c: ['clang', '--target=aarch64-linux-gnu', '-fuse-ld=lld'],
    cxx: ['clang++', '--target=aarch64-linux-gnu', '-fuse-ld=lld'],
    ld: 'ld.lld',
  },
};

interface Request {
  readonly objects: readonly string[];
  readonly linker: Linker;
  readonly kind: Kind;
  readonly script?: Script;
  readonly via?: Linker;
  readonly flags?: readonly string[];
  readonly cxx?: boolean;
}

function link({ objects, linker, kind, script = 'none', via, flags = [], cxx = false }: Request): string {
  const program = fresh('program');
  let inputs = objects;
  if (via) {
    inputs = [`${program}.together.o`];
    run(drivers[via].ld, ['-r', ...objects, '-o', `${program}.together.o`]);
  }
  const [driver, ...target] = drivers[linker][cxx ? 'cxx' : 'c'] as [string, ...string[]];
  const scripts = script === 'none' ? [] : [`-Wl,-T,${scriptPath(script)}`];
  run(driver, [...target, kind, ...scripts, ...flags, ...inputs, '-o', program]);
  return program;
}

const start = (image: string) => run(emulator[0] as string, [...emulator.slice(1), image]);
const objectsOf = (set: string, names: readonly string[] = units) =>
  names.map((name) => annotated(set, name));

/** Entries that the objects hold; compilers may copy a site. */
function entriesIn(objects: readonly string[]): [number, number, number] {
  const count = (row: typeof jumpTable) =>
    objects.reduce((sum, path) => {
      const object = objectCode(new Uint8Array(readFileSync(path)));
      return sum + readObjectTable(object, row).length;
    }, 0);
  return [count(jumpTable), count(staticCallSites), 0];
}

const changes = [
  ...['--enable', 'off_key', '--disable', 'on_key', '--disable', 'on_keys[1]', '--enable', 'off_keys[2]'],
  ...[
    '--enable',
    'device+8',
    '--disable',
    'shared_true',
    '--enable',
    'shared_keys[3]',
    '--enable',
    'call_key',
  ],
  ...['--update', 'math=add_ten', '--update', 'probe=real_probe', '--update', 'shared_call=shared_other'],
];
const undo = [
  ...['--disable', 'off_key', '--enable', 'on_key', '--enable', 'on_keys[1]', '--disable', 'off_keys[2]'],
  ...[
    '--disable',
    'device+8',
    '--enable',
    'shared_true',
    '--disable',
    'shared_keys[3]',
    '--disable',
    'call_key',
  ],
  ...['--update', 'math=add_one', '--update', 'probe=RET0', '--update', 'shared_call=shared_plain'],
];
const changed = expected({
  ...{ 'likely true': 0, 'likely false': 1, 'unlikely true': 0, 'unlikely false': 1, 'array true': 0 },
  ...{ 'array false': 1, member: 1, nested: 1, 'cold body': 1001, 'cold jump': 2, call: 60, 'tail call': 31 },
  ...{ 'ret0 call': 26, 'ret0 tail call': 21, 'call behind branch': 50, 'query add_one': 0 },
  ...{ 'shared key': 4, 'shared call': 403 },
});

/** Runs, verifies; boots, runs, verifies; changes, runs, verifies; and back to the same image. */
function prove(request: Request): string {
  const counts = entriesIn(request.objects);
  const what = JSON.stringify(request);
  const image = link(request);
  assert.equal(start(image), expected(), what);
  assert.deepEqual(countEntries(image), counts, what);
  assertVerified(image, ['--linked'], what);
  const booted = boot(image);
  assert.equal(start(booted), expected(), `booted: ${what}`);
  assertVerified(booted, ['--original', image], `booted: ${what}`);
  const other = boot(booted, changes);
  assert.equal(start(other), changed, `changed: ${what}`);
  assertVerified(other, ['--original', image], `changed: ${what}`);
  assert.ok(sameFile(boot(other, undo), booted), `back: ${what}`);
  return booted;
}

for (const set of sets.filter((name) => namesOf(name).includes('main'))) {
  const other: Kind = /fPIC|O0|sections/.test(set) ? '-pie' : '-no-pie';
  toolTest(`${set}: -static and ${other} programs run, boot, change and change back`, tools, () => {
    for (const linker of linkers) {
      const isStatic = set.includes('gcc') === (linker === 'bfd');
      const kind = isStatic ? '-static' : other;
      prove({ objects: objectsOf(set), linker, kind, script: isStatic ? 'none' : 'ldscript' });
    }
  });
}

toolTest('NULL and RET0 in place of a function, and a function in place of them', tools, () => {
  for (const linker of linkers) {
    const booted = boot(link({ objects: objectsOf('aarch64-gcc-O2'), linker, kind: '-static' }));
    const site = (name: string, offset = 0) => bytesAt(booted, addressOf(booted, name) + offset, 4);
    assert.equal(site('call_cond_tail'), 'c0035fd6'); // ret
    const { calls } = readTables(booted);
    const at = (image: string) => calls.map(({ site }) => bytesAt(image, site, 4));
    assert.ok(at(booted).includes('1f2003d5') && at(booted).includes('000080d2')); // nop; mov x0, #0
    const other = boot(booted, [
      '--update',
      'math=RET0',
      '--update',
      'notify=observe_twice',
      '--update',
      'probe=real_probe',
    ]);
    assert.equal(
      start(other),
      expected({
        ...{ call: 0, 'tail call': 0, 'cond call': 17, 'cond tail call': 49, 'cond jump': 113 },
        ...{ 'ret0 call': 26, 'ret0 tail call': 21, 'query add_one': 0 },
      }),
    );
    assertVerified(other);
    assert.ok(
      sameFile(
        boot(other, ['--update', 'math=add_one', '--update', 'notify=NULL', '--update', 'probe=RET0']),
        booted,
      ),
    );
    const none = boot(booted, ['--update', 'math=NULL']);
    assertVerified(none, ['--original', booted]);
  }
});

toolTest('objects that ld -r put together keep every entry; dead code goes with its entries', tools, () => {
  for (const compiler of ['gcc', 'clang']) {
    for (const linker of linkers) {
      for (const via of linkers) {
        const objects = objectsOf(`aarch64-${compiler}-O2`);
        prove({ objects, linker, kind: '-static', via });
        const live = objectsOf(`aarch64-${compiler}-O2-ffunction-sections`);
        const image = link({
          objects: [...live, annotated(`aarch64-${compiler}-O2-ffunction-sections`, 'icf')],
          linker,
          kind: '-pie',
          via,
          flags: ['-Wl,--gc-sections'],
          script: 'ldscript --gc-sections',
        });
        assert.equal(start(image), expected());
        assert.deepEqual(countEntries(image), entriesIn(live));
        const booted = boot(image);
        assert.equal(start(booted), expected());
        assertVerified(booted, ['--original', image]);
      }
    }
  }
});

toolTest('an inline function that two objects hold is linked once, with one entry a site', tools, () => {
  for (const set of sets.filter((name) => namesOf(name).includes('comdat-main'))) {
    for (const linker of linkers.filter((name) => set.includes('gcc') === (name === 'bfd'))) {
      for (const via of set.endsWith('-O2') ? [undefined, ...linkers] : [undefined]) {
        const request = { objects: objectsOf(set, comdatUnits), linker, kind: '-static', cxx: true } as const;
        const image = link(via ? { ...request, via } : request);
        assert.equal(start(image), comdatOutput);
        const copies = imageSymbols(image).filter((s) => s.name === '_Z13comdat_branchv');
        assert.equal(copies.length, 1);
        const booted = boot(image);
        assert.equal(start(booted), comdatOutput);
        assertVerified(booted, ['--original', image]);
      }
    }
  }
});

toolTest('a shared object with sites of its own runs, booted too', tools, () => {
  for (const linker of linkers) {
    for (const compiler of ['gcc', 'clang']) {
      const objects = objectsOf(`aarch64-${compiler}-O2-fPIC`);
      const library = fresh('library');
      const [driver, ...target] = drivers[linker].c as [string, ...string[]];
      run('mkdir', [library]);
      const image = join(library, 'library.so');
      run(driver, [...target, '-shared', ...objects.slice(1), '-o', image]);
      const program = join(library, 'program');
      run(driver, [...target, '-pie', objects[0] as string, image, '-Wl,-rpath,$ORIGIN', '-o', program]);
      const runWith = (at: string) =>
        run('qemu-aarch64', ['-E', `LD_LIBRARY_PATH=${at}`, ...emulator.slice(1), program]);
      assert.equal(runWith(library), expected());
      assertVerified(image, ['--linked']);
      const booted = boot(image, changes);
      const aside = fresh('aside');
      run('mkdir', [aside]);
      run('cp', [booted, join(aside, 'library.so')]);
      run(driver, [
        ...target,
        '-pie',
        objects[0] as string,
        join(aside, 'library.so'),
        '-Wl,-rpath,$ORIGIN',
        '-o',
        join(aside, 'program'),
      ]);
      assert.equal(run('qemu-aarch64', [...emulator.slice(1), join(aside, 'program')]), changed);
      assertVerified(booted, ['--original', image]);
    }
  }
});

toolTest(
  'hand-written assembly: resolved branches, data that reads as branches, calls by section symbol',
  tools,
  () => {
    const main = once('hand-main-aarch64.o', (path) => {
      writeFileSync(
        `${path}.c`,
        '#include <stdio.h>\nint hand_branches(void), hand_calls(int);\n' +
          'int main(void) { printf("%d %d\\n", hand_branches(), hand_calls(10)); }\n',
      );
      run('aarch64-linux-gnu-gcc', ['-c', '-O2', '-fno-pie', `${path}.c`, '-o', path]);
    });
    for (const compiler of ['gcc', 'clang']) {
      for (const linker of linkers) {
        const objects = [annotated(`aarch64-${compiler}-O2`, 'hand'), main];
        const image = link({ objects, linker, kind: '-static' });
        assert.deepEqual(countEntries(image), [4, 10, 0]);
        assertVerified(image, ['--linked']);
        const booted = boot(image);
        assert.equal(start(image), start(booted));
        assert.equal(start(booted), '6 44\n');
        assertVerified(booted, ['--original', image]);
        const other = boot(booted, ['--enable', 'hand_false', '--update', 'hand_far=hand_other']);
        assert.equal(start(other), '15 46\n');
        assertVerified(other, ['--original', image]);
      }
    }
  },
);

const far = `#include "textpoke/static_call.h"
#define FAR __attribute__((section(".far.text"), noinline))
int near_fn(int), far_fn(int);
DECLARE_STATIC_CALL(near_call, near_fn);
DECLARE_STATIC_CALL(far_call, near_fn);
FAR int far_site(int n) { return static_call(near_call)(n) + 10; }
FAR int far_fn(int n) { return n + 2; }
FAR __attribute__((used)) static int far_alone(int n) { return n + 3; }
int near_site(int n) { return static_call(far_call)(n) + 20; }
int near_fn(int n) { return n + 1; }
DEFINE_STATIC_CALL(near_call, near_fn);
DEFINE_STATIC_CALL(far_call, far_fn);
__attribute__((noinline)) static void leave(long status) {
  register long number __asm__("x8") = 93;
  register long result __asm__("x0") = status;
  __asm__ volatile("svc #0" : : "r"(number), "r"(result));
  __builtin_unreachable();
}
void _start(void) { leave(far_site(0) + near_site(0)); }
`;
const farScript = `ENTRY(_start)
SECTIONS {
  .text 0x400000 : { *(.text .text.*) }
  .static_call.text : { *(.static_call.text) }
  .data 0x500000 : { *(.data .data.*) }
  .static_call_sites : { *(.static_call_sites) }
  .far.text 0x20000000 : { *(.far.text) }
  /DISCARD/ : { *(.eh_frame .comment .note.*) }
}
`;

toolTest(
  'calls over more than 128 MiB stay on their trampolines, behind the veneers that linkers make',
  tools,
  () => {
    const object = once('far.o', (path) => {
      writeFileSync(`${path}.c`, far);
      const flags = [
        '-c',
        '-O2',
        '-ffreestanding',
        '-fno-pie',
        '-fno-asynchronous-unwind-tables',
        `-I${include}`,
      ];
      run('aarch64-linux-gnu-gcc', [...flags, `${path}.c`, '-o', path]);
      assert.equal(textpoke(['annotate', path]).status, 0);
    });
    const script = once('far.ld', (path) => writeFileSync(path, farScript));
    for (const linker of linkers) {
      const image = fresh('far');
      run(drivers[linker].ld, ['-T', script, object, '-o', image]);
      const status = (file: string) => tryRun('timeout', ['20', ...emulator, file]).status;
      assert.equal(status(image), 33, linker);
      assert.ok(imageSymbols(image).some((s) => /_veneer$|Thunk/.test(s.name)));
      assertVerified(image, ['--linked']);
      const booted = fresh('far');
      const said = textpoke(['boot', image, '-o', booted]).stderr;
      assert.match(said, /near_site\+0x8: far_call \(stays on the trampoline: far_fn is out of reach\)/);
      assert.match(said, /far_site\+0x8: near_call \(stays on the trampoline: near_fn is out of reach\)/);
      assert.equal(status(booted), 33, linker);
      assertVerified(booted, ['--original', image]);
      // What comes into reach is called directly; what leaves it goes back to the veneer.
      const near = boot(booted, ['--update', 'far_call=near_fn']);
      assert.equal(status(near), 32, linker);
      assertVerified(near, ['--original', image]);
      assert.ok(sameFile(boot(near, ['--update', 'far_call=far_fn']), booted), linker);
      // No veneer leads there.
      const refused = textpoke(['boot', image, '--update', 'near_call=far_alone', '-o', fresh('far')]);
      assert.equal(refused.status, 1);
      assert.match(refused.stderr, /the trampoline of near_call cannot reach far_alone.*\[branch-range\]/);
      const site = addressOf(image, 'near_site') + 8;
      assert.deepEqual(
        findings(breakAt(booted, site)).map((f) => f.rule),
        ['TP007'],
      );
    }
  },
);

/** A copy whose instruction at an address is nop. */
function breakAt(image: string, address: number): string {
  const bytes = new Uint8Array(readFileSync(image));
  const segment = readElf(image, bytes).segments.find(
    (s) => address >= s.vaddr && address < s.vaddr + s.filesz,
  );
  assert.ok(segment);
  bytes.set([0x1f, 0x20, 0x03, 0xd5], segment.offset + address - segment.vaddr);
  const broken = join(dirname(fresh('x')), `broken-${address.toString(16)}`);
  writeFileSync(broken, bytes);
  return broken;
}

toolTest('a changed site, a changed trampoline and an unlisted call are found', tools, () => {
  const image = link({ objects: objectsOf('aarch64-gcc-O2'), linker: 'bfd', kind: '-static' });
  const booted = boot(image);
  const rules = (address: number) => findings(breakAt(booted, address)).map((f) => f.rule);
  assert.deepEqual(rules(addressOf(booted, '__SCT__math')), ['TP012']);
  assert.deepEqual(rules(addressOf(booted, 'call_tail') + 4), ['TP007']);
  const objects = objectsOf('aarch64-gcc-O2').map((path) =>
    path.endsWith('call.o') ? plain('aarch64-gcc-O2', 'call') : path,
  );
  const unlisted = link({ objects, linker: 'bfd', kind: '-static' });
  assert.ok(findings(unlisted, ['--linked']).filter((f) => f.rule === 'TP009').length >= 8);
});

toolTest(
  'objects linked in memory run: the demo, booted, changed and changed back',
  ['qemu-aarch64', 'readelf'],
  () => {
    const before = 'call: hello\ncounter: 3\nbranch: off\n';
    const after = 'call: HELLO!\ntrace: counting\ntrace: counting\ntrace: counting\ncounter: 3\nbranch: on\n';
    for (const [set, names] of [
      ['demo/aarch64', ['main', 'work']],
      ['aarch64-gcc-O2', ['demo-main', 'demo-work']],
      ['aarch64-clang-O2', ['demo-main', 'demo-work']],
    ] as const) {
      const first = fresh('memory');
      assert.equal(textpoke(['boot', ...names.map((name) => annotated(set, name)), '-o', first]).status, 0);
      assert.equal(start(first), before);
      assertVerified(first);
      const other = boot(first, ['--enable', 'tracing', '--update', 'greet=greet_loud']);
      assert.equal(start(other), after);
      assertVerified(other, ['--original', first]);
      assert.ok(sameFile(boot(other, ['--disable', 'tracing', '--update', 'greet=greet_plain']), first));
    }
  },
);

toolTest('every sample that defines its keys links in memory and verifies', ['readelf'], () => {
  for (const set of ['aarch64-gcc-O2', 'aarch64-clang-O2-ffunction-sections']) {
    for (const name of namesOf(set)) {
      if (['key-use', 'comdat2', 'demo-main'].includes(name)) continue;
      const image = fresh('memory');
      const result = textpoke(['boot', annotated(set, name), '-o', image]);
      assert.equal(result.status, 0, `${set}/${name}: ${result.stderr}`);
      if (countEntries(image).every((count) => count === 0)) continue;
      assertVerified(image, [], `${set}/${name}`);
    }
  }
});

toolTest(
  'objdump reads the code of annotated objects, and its relocations, as before',
  ['aarch64-linux-gnu-objdump'],
  () => {
    const read = (file: string) =>
      run('aarch64-linux-gnu-objdump', ['-dr', file]).replace(/^.*file format.*$/m, '');
    for (const set of sets)
      for (const name of namesOf(set))
        assert.equal(read(annotated(set, name)), read(plain(set, name)), `${set}/${name}`);
  },
);

toolTest('branches that cannot be patched are refused by name: b.cond, cbz, tbnz', ['clang'], () => {
  for (const [branch, text] of [
    ['b.ne', 'is a b.ne, which is conditional and has a displacement of 19 bits'],
    ['cbz x0,', 'is a cbz, which is conditional and has a displacement of 19 bits'],
    ['tbnz w3, #3,', 'is a tbnz, which is conditional and has a displacement of 14 bits'],
  ] as const) {
    const source = fresh('short.s');
    writeFileSync(source, `f: nop\n ${branch} __SCT__x\n`);
    run('clang', ['--target=aarch64-linux-gnu', '-c', source, '-o', `${source}.o`]);
    const result = textpoke(['annotate', `${source}.o`]);
    assert.equal(result.status, 1);
    assert.ok(
      result.stderr.includes(`f+0x4: the branch to __SCT__x ${text}; a static call needs bl or b`),
      result.stderr,
    );
  }
  const sample = textpoke(['annotate', plain('aarch64-gcc-O2', 'short'), '-o', fresh('short.o')]);
  assert.match(
    sample.stderr,
    /short_conditional\+0x4: the branch to __SCT__short_call is a b\.ne,.*\[site-unpatchable\]/,
  );
});

toolTest('mapping symbols name no place, and dump shows what relocated branches call', tools, () => {
  for (const set of ['aarch64-gcc-O2', 'aarch64-clang-O2']) {
    const objects = [...objectsOf(set), annotated(set, 'hand')];
    const shown = textpoke(['dump', ...objects, '--disassemble']).stdout;
    assert.match(shown, /call_plain\+0x[0-9a-f]+ .* bl __SCT__math$/m);
    assert.doesNotMatch(shown, /\$[xd]/);
    const image = boot(link({ objects: objectsOf(set), linker: 'lld', kind: '-static' }));
    const trace = textpoke(['boot', image, '--trace', '--enable', 'off_key', '-o', fresh('traced')]).stdout;
    assert.doesNotMatch(trace + textpoke(['dump', image]).stdout, /\$[xd]/);
  }
});
