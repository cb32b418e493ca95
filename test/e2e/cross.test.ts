// AArch64 and 32-bit ARM from objects to running programs: annotated objects link with both linkers, run under qemu,
// boot, change and change back. How many entries an image has to list is counted from its objects.
import assert from 'node:assert/strict';
import { copyFileSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { longTest, rowsOf, run, toolTest, turnOf } from '../tools.ts';
import {
  bootWithNotes,
  changed,
  changes,
  compileText,
  entriesIn,
  type Kind,
  link,
  machines,
  objectsOf,
  prove,
  start,
  states,
  withBytesAt,
} from './cross.ts';
import {
  addressOf,
  alone,
  annotated,
  assertSameFile,
  assertVerified,
  boot,
  bytesAt,
  comdatOutput,
  comdatUnits,
  countEntries,
  done,
  expected,
  findings,
  fresh,
  imageSymbols,
  linkers,
  namesOf,
  plain,
  readTables,
  textpoke,
  units,
} from './programs.ts';

const compilers = ['gcc', 'clang'];

/** Each compiler with each linker. */
const built = compilers.flatMap((compiler) => linkers.map((linker) => ({ compiler, linker })));

for (const machine of machines) {
  for (const [turn, set] of rowsOf(
    machine.sets.filter((name) => namesOf(name).includes('main')),
    18,
  ).entries()) {
    const other: Kind = /fPIC|O0|sections/.test(set) ? '-pie' : '-no-pie';
    toolTest(`${set}: -static and ${other} programs run, boot, change and change back`, machine.tools, () => {
      for (const linker of turnOf(linkers, turn)) {
        const isStatic = set.includes('gcc') === (linker === 'bfd');
        const kind = isStatic ? '-static' : other;
        prove(machine, { objects: objectsOf(set), linker, kind, script: isStatic ? 'none' : 'ldscript' });
      }
    });
  }
}

for (const { machine, name, prefix, ret, nop, clear } of rowsOf(states, 3)) {
  toolTest(
    `NULL and RET0 in place of a function, and a function in place of them: ${name}`,
    machine.tools,
    () => {
      for (const linker of rowsOf(linkers, 2)) {
        const objects = objectsOf(`${prefix}-gcc-O2`);
        const booted = boot(link(machine, { objects, linker, kind: '-static' }));
        const tail = addressOf(booted, 'call_cond_tail') & ~1;
        assert.equal(bytesAt(booted, tail, 4), ret);
        const at = (image: string) => readTables(image).calls.map(({ site }) => bytesAt(image, site, 4));
        for (const code of [nop, clear])
          assert.ok(at(booted).includes(code), `${code} in ${at(booted).join(' ')}`);
        const other = boot(booted, [
          ...['--update', 'math=RET0', '--update', 'notify=observe_twice'],
          ...['--update', 'probe=real_probe'],
        ]);
        const prints = {
          ...{ call: 0, 'tail call': 0, 'cond call': 17, 'cond tail call': 49, 'cond jump': 113 },
          ...{ 'ret0 call': 26, 'ret0 tail call': 21, 'query add_one': 0 },
        };
        assert.equal(start(machine, other), expected(prints));
        assertVerified(other);
        const back = ['--update', 'math=add_one', '--update', 'notify=NULL', '--update', 'probe=RET0'];
        assertSameFile(boot(other, back), booted);
        const none = boot(booted, ['--update', 'math=NULL']);
        const nops = (image: string) => at(image).filter((bytes) => bytes === nop).length;
        assert.ok(nops(none) > nops(booted), `${nops(none)} NOPs after ${nops(booted)}`);
        assertVerified(none, ['--original', booted]);
        assertSameFile(boot(none, ['--update', 'math=add_one']), booted);
      }
    },
  );
}

for (const { machine, name, prefix } of rowsOf(states, 3)) {
  longTest(
    `objects that ld -r put together keep every entry; dead code goes with its entries: ${name}`,
    machine.tools,
    () => {
      for (const { compiler, linker } of rowsOf(built, 4)) {
        // Each pair of linkers once, with objects of one compiler or the other.
        for (const via of linkers.filter((v) => (v === linker) === (compiler === 'gcc'))) {
          const objects = objectsOf(`${prefix}-${compiler}-O2`);
          prove(machine, { objects, linker, kind: '-static', via });
          const live = objectsOf(`${prefix}-${compiler}-O2-ffunction-sections`);
          const dead = annotated(`${prefix}-${compiler}-O2-ffunction-sections`, 'icf');
          const image = link(machine, {
            ...{ objects: [...live, dead], linker, kind: '-pie', via },
            ...{ flags: ['-Wl,--gc-sections'], script: 'ldscript --gc-sections' },
          });
          assert.equal(start(machine, image), expected());
          assert.deepEqual(countEntries(image), entriesIn(live));
          const booted = boot(image);
          assert.equal(start(machine, booted), expected());
          assertVerified(booted, ['--original', image]);
        }
      }
    },
  );

  longTest(
    `objects that ld -r, strip -g or ar had before annotate come out as right, and annotating twice changes nothing: ${name}`,
    [...machine.tools, machine.objdump],
    () => {
      const binutils = (tool: string) => machine.objdump.replace(/objdump$/, tool);
      for (const [turn, compiler] of rowsOf([...compilers.entries()], 2)) {
        const set = `${prefix}-${compiler}-O2`;
        const objects = objectsOf(set);
        for (const linker of turnOf(linkers, turn)) {
          const together = fresh('together.o');
          run(machine.drivers[linker].ld, ['-r', ...units.map((unit) => plain(set, unit)), '-o', together]);
          done(['annotate', together]);
          assert.deepEqual(entriesIn([together]), entriesIn(objects));
          const again = fresh('again.o');
          copyFileSync(together, again);
          done(['annotate', again]);
          assertSameFile(again, together);
          prove(machine, { objects: [together], linker, kind: '-static' });
          // Annotated, put together, and once more.
          run(machine.drivers[linker].ld, ['-r', ...objects, '-o', together]);
          copyFileSync(together, again);
          done(['annotate', again]);
          assertSameFile(again, together);
        }
        const copies = objects.map((object) => {
          const again = fresh('again.o');
          copyFileSync(object, again);
          return again;
        });
        done(['annotate', ...copies]);
        for (const [i, object] of objects.entries()) assertSameFile(copies[i] as string, object, object);
        // Debugging information goes, the tables stay.
        const debug = `${prefix}-${compiler}-O2-g`;
        const unstripped = namesOf(debug).map((unit) => annotated(debug, unit));
        const stripped = unstripped.map((object) => {
          const copy = fresh('stripped.o');
          run(binutils('strip'), ['-g', object, '-o', copy]);
          return copy;
        });
        assert.deepEqual(entriesIn(stripped), entriesIn(unstripped));
        // In an archive, as compiled, and its index still names what main.o needs.
        const archive = fresh('units.a');
        run(binutils('ar'), ['rcs', archive, ...units.slice(1).map((unit) => plain(set, unit))]);
        done(['annotate', archive]);
        const once = fresh('once.a');
        copyFileSync(archive, once);
        done(['annotate', archive]);
        assertSameFile(archive, once);
        for (const linker of turnOf(linkers, turn)) {
          const image = link(machine, { objects: [objects[0]!, archive], linker, kind: '-static' });
          assert.equal(start(machine, image), expected());
          assert.deepEqual(countEntries(image), entriesIn(objects));
          assert.equal(start(machine, boot(image, changes(machine))), changed);
        }
      }
    },
  );
}

for (const machine of machines) {
  longTest(
    `an inline function that two objects hold is linked once, with one entry a site: ${machine.name}`,
    machine.tools,
    () => {
      for (const set of rowsOf(
        machine.sets.filter((name) => namesOf(name).includes('comdat-main')),
        12,
      )) {
        for (const linker of linkers.filter((name) => set.includes('gcc') === (name === 'bfd'))) {
          for (const via of set.endsWith('-O2') ? linkers : [undefined]) {
            const image = link(machine, {
              ...{ objects: objectsOf(set, comdatUnits), linker, kind: '-static', cxx: true },
              ...(via ? { via } : {}),
            });
            assert.equal(start(machine, image), comdatOutput);
            const copies = imageSymbols(image).filter((s) => s.name === '_Z13comdat_branchv');
            assert.equal(copies.length, 1);
            const size = copies[0]!.size;
            const from = copies[0]!.value & ~1;
            const inside = readTables(image).branches.filter((b) => b.code >= from && b.code < from + size);
            assert.ok(inside.length >= 2, `${set}: ${inside.length} branches`);
            const booted = boot(image);
            assert.equal(start(machine, booted), comdatOutput);
            assertVerified(booted, ['--original', image]);
          }
        }
      }
    },
  );
}

for (const { machine, name, prefix } of rowsOf(states, 3)) {
  longTest(`a shared object with sites of its own runs, booted too: ${name}`, machine.tools, () => {
    for (const { compiler, linker } of rowsOf(built, 3)) {
      const [main, ...objects] = objectsOf(`${prefix}-${compiler}-O2-fPIC`) as [string, ...string[]];
      const [driver, ...target] = machine.drivers[linker].c as [string, ...string[]];
      const library = fresh('library');
      mkdirSync(library);
      const image = join(library, 'library.so');
      run(driver, [...target, '-shared', ...objects, '-o', image]);
      const program = join(library, 'program');
      run(driver, [...target, '-pie', main, `-L${library}`, '-l:library.so', '-o', program]);
      const runWith = (at: string) => start(machine, program, [`LD_LIBRARY_PATH=${at}`]);
      assert.equal(runWith(library), expected());
      assert.deepEqual(countEntries(image), entriesIn(objects));
      assertVerified(image, ['--linked']);
      const booted = boot(image);
      const other = boot(booted, changes(machine));
      const aside = fresh('aside');
      mkdirSync(aside);
      for (const [file, prints] of [
        [booted, expected()],
        [other, changed],
      ] as const) {
        copyFileSync(file, join(aside, 'library.so'));
        assert.equal(runWith(aside), prints);
        assertVerified(file, ['--original', image]);
      }
    }
  });
}

const foldedMain = `#include <stdio.h>
int icf_first(void), icf_second(void), icf_same(void), icf_same_again(void);
int main(void) { printf("%d %d %d %d\\n", icf_first(), icf_second(), icf_same(), icf_same_again()); }
`;

for (const { machine, name, prefix } of rowsOf(states, 3)) {
  longTest(
    `lld --icf=all keeps apart what differs in its key alone, and each key works by itself: ${name}`,
    machine.tools,
    () => {
      const main = compileText(machine, 'folded-main.o', foldedMain, ['-fPIE']);
      for (const compiler of compilers) {
        const vias = [undefined, compiler === 'gcc' ? 'bfd' : 'lld'] as const;
        for (const via of turnOf(vias, compilers.indexOf(compiler))) {
          const image = link(machine, {
            objects: [annotated(`${prefix}-${compiler}-O2-ffunction-sections`, 'icf'), main],
            ...{ linker: 'lld', kind: '-pie', flags: ['-Wl,--icf=all'] },
            ...(via ? { via } : {}),
          });
          assert.notEqual(addressOf(image, 'icf_first'), addressOf(image, 'icf_second'));
          assert.equal(addressOf(image, 'icf_same'), addressOf(image, 'icf_same_again'));
          assert.deepEqual(countEntries(image), [4, 0, 0]);
          assertVerified(image, ['--linked']);
          const booted = boot(image);
          assert.equal(start(machine, booted), '0 0 0 0\n');
          for (const [key, prints] of [
            ['icf_a', '1 0 2 2\n'],
            ['icf_b', '0 1 0 0\n'],
          ] as const) {
            const enabled = boot(booted, ['--enable', key]);
            assert.equal(start(machine, enabled), prints);
            assertVerified(enabled, ['--original', image]);
            assertSameFile(boot(enabled, ['--disable', key]), booted);
          }
        }
      }
    },
  );

  toolTest(
    `a changed site, a changed trampoline and an unlisted call are found: ${name}`,
    machine.tools,
    () => {
      const set = `${prefix}-gcc-O2`;
      const image = link(machine, { objects: objectsOf(set), linker: 'bfd', kind: '-static' });
      const booted = boot(image);
      const { nop } = states.find((state) => state.name === name)!;
      const rules = (at: number) => findings(withBytesAt(booted, at, nop)).map((f) => f.rule);
      assert.deepEqual(rules(addressOf(booted, '__SCT__math') & ~1), ['TP012']);
      const tail = imageSymbols(booted).find((symbol) => symbol.name === 'call_tail')!;
      const { site } = readTables(booted).calls.find(
        (call) => call.site >= (tail.value & ~1) && call.site < tail.value + tail.size,
      )!;
      assert.deepEqual(rules(site), ['TP007']);
      const objects = objectsOf(set).map((path) => (path.endsWith('call.o') ? plain(set, 'call') : path));
      const unlisted = link(machine, { objects, linker: 'bfd', kind: '-static' });
      const found = findings(unlisted, ['--linked']).map((f) => f.rule);
      assert.ok(found.filter((rule) => rule === 'TP009').length >= 8, found.join(' '));
    },
  );

  longTest(
    `mapping symbols name no place, and dump shows what relocated branches call: ${name}`,
    machine.tools,
    () => {
      for (const compiler of compilers) {
        const set = `${prefix}-${compiler}-O2`;
        const shown = textpoke(['dump', ...objectsOf(set), annotated(set, 'hand'), '--disassemble']).stdout;
        assert.match(shown, /call_plain\+0x[0-9a-f]+ .* blx? __SCT__math$/m);
        assert.doesNotMatch(shown, /\$[xdat]\b/);
        const image = boot(link(machine, { objects: objectsOf(set), linker: 'lld', kind: '-static' }));
        const trace = textpoke(['boot', image, '--trace', '--enable', 'off_key', '-o', fresh('traced')]);
        assert.match(trace.stdout, / unlikely_false(\+0x4)?: off_key enabled: jump to unlikely_false\+0x/);
        assert.doesNotMatch(trace.stdout + textpoke(['dump', image]).stdout, /\$[xdat]\b/);
      }
    },
  );
}

toolTest(
  'objects linked in memory run: the demo, booted, changed and changed back',
  ['qemu-aarch64', 'qemu-arm', 'readelf'],
  () => {
    const before = 'call: hello\ncounter: 3\nbranch: off\n';
    const after = 'call: HELLO!\ntrace: counting\ntrace: counting\ntrace: counting\ncounter: 3\nbranch: on\n';
    const demos = machines.flatMap((machine) => [
      { machine, set: `demo/${machine.name.toLowerCase()}`, names: ['main', 'work'] },
      ...machine.sets
        .filter((set) => namesOf(set).includes('demo-main'))
        .map((set) => ({ machine, set, names: ['demo-main', 'demo-work'] })),
    ]);
    assert.equal(demos.length, 8);
    for (const { machine, set, names } of rowsOf(demos, 3)) {
      const { booted: first, notes } = bootWithNotes(objectsOf(set, names)[0]!, [objectsOf(set, names)[1]!]);
      assert.equal(notes, '', set);
      assert.equal(start(machine, first), before);
      assertVerified(first);
      const other = boot(first, ['--enable', 'tracing', '--update', 'greet=greet_loud']);
      assert.equal(start(machine, other), after);
      assertVerified(other, ['--original', first]);
      assertSameFile(boot(other, ['--disable', 'tracing', '--update', 'greet=greet_plain']), first);
    }
  },
);

longTest('every sample that defines its keys links in memory and verifies', ['readelf'], () => {
  for (const compiler of rowsOf(['aarch64-gcc', 'aarch64-clang', 'arm-gcc', 'thumb-clang'], 2)) {
    const set = compiler.endsWith('gcc') ? `${compiler}-O2` : `${compiler}-O2-ffunction-sections`;
    for (const name of namesOf(set)) {
      if (['key-use', 'comdat2', 'demo-main'].includes(name)) continue;
      if (name === 'hand' && compiler === 'arm-gcc') continue; // its tail calls to the other state need veneers
      const image = fresh('memory');
      const result = textpoke(['boot', annotated(set, name), '-o', image]);
      assert.equal(result.status, 0, `${set}/${name}: ${result.stderr}`);
      if (countEntries(image).every((count) => count === 0)) continue;
      assertVerified(image, [], `${set}/${name}`, alone);
    }
  }
});
