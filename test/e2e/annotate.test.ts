// The options of `annotate`, over the sample objects.
import assert from 'node:assert/strict';
import {
  copyFileSync,
  existsSync,
  lstatSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { basename, join } from 'node:path';
import { elflint } from '../elf/readelf.ts';
import { longTest, rowsOf, run, toolTest } from '../tools.ts';
import {
  annotated,
  assertSameFile,
  assertVerified,
  boot,
  countEntries,
  done,
  expected,
  fresh,
  link,
  namesOf,
  once,
  plain,
  readTables,
  sets,
  textpoke,
  units,
  workplace,
} from './programs.ts';

process.env.TEXTPOKE_THREAD_COST = '1'; // -j starts its threads for a few files too

/** A directory with copies of sample objects, named SET-NAME.o. */
function copies(which: readonly (readonly [set: string, name: string])[]): {
  directory: string;
  objects: string[];
} {
  const directory = mkdtempSync(join(workplace(), 'copies-'));
  const objects = which.map(([set, name]) => {
    const path = join(directory, `${set}-${name}.o`);
    copyFileSync(plain(set, name), path);
    return path;
  });
  return { directory, objects };
}

function copyOf(set: string, name: string): string {
  return copies([[set, name]]).objects[0]!;
}

/** Sections of an object by name: how many. */
function sectionsOf(object: string, name: string): number {
  return run('readelf', ['-SW', object]).split(` ${name} `).length - 1;
}

const tables = {
  '--static-call': '.static_call_sites',
  '--static-branch': '__jump_table',
  '--smp-locks': '.smp_locks',
};

toolTest('-o writes another file and leaves the input alone, also when there is nothing to do', [], () => {
  for (const name of ['call', 'main']) {
    const object = copyOf('gcc-O2', name);
    const other = fresh('other.o');
    assert.equal(done(['annotate', object, '-o', other]), '');
    assertSameFile(object, plain('gcc-O2', name));
    assertSameFile(other, annotated('gcc-O2', name));
    assert.equal(statSync(other).mode, statSync(object).mode);
  }
  const { objects } = copies([
    ['gcc-O2', 'call'],
    ['gcc-O2', 'branch'],
  ]);
  const two = textpoke(['annotate', ...objects, '-o', fresh('none')]);
  assert.equal(two.status, 2);
  assert.match(two.stderr, /-o takes one input/);
});

toolTest('--dry-run says what would be done and writes nothing', [], () => {
  const { directory, objects } = copies([
    ['gcc-O2', 'call'],
    ['gcc-O2', 'kernel-entries'],
    ['clang-O2', 'lock'],
  ]);
  const said = done(['annotate', '--dry-run', '--backup', ...objects]);
  assert.match(said, /gcc-O2-call\.o: 8 static calls, 1 static branch, 0 locks would list/);
  assert.match(said, /kernel-entries\.o: .*3 jumps would become NOPs/);
  assert.match(said, /clang-O2-lock\.o: .*6 locks would list/);
  const target = join(directory, 'target.o');
  done(['annotate', '--dry-run', objects[0]!, '-o', target]);
  assert.deepEqual(readdirSync(directory).sort(), objects.map((o) => basename(o)).sort());
  assertSameFile(objects[0]!, plain('gcc-O2', 'call'));
  assertSameFile(objects[1]!, plain('gcc-O2', 'kernel-entries'));
});

toolTest('--backup keeps what was there as .orig, and only where something changes', [], () => {
  const { directory, objects } = copies([
    ['gcc-O2', 'call'],
    ['gcc-O2', 'main'],
  ]);
  done(['annotate', '--backup', ...objects]);
  assert.deepEqual(readdirSync(directory).sort(), ['gcc-O2-call.o', 'gcc-O2-call.o.orig', 'gcc-O2-main.o']);
  assertSameFile(`${objects[0]}.orig`, plain('gcc-O2', 'call'));
  assertSameFile(objects[0]!, annotated('gcc-O2', 'call'));
  // A second run changes nothing, so the backup stays what it is.
  done(['annotate', '--backup', ...objects]);
  assertSameFile(`${objects[0]}.orig`, plain('gcc-O2', 'call'));
});

toolTest('--stats counts, and --json is one document with the same counts', [], () => {
  const { objects } = copies(
    ['call', 'branch', 'lock', 'key-use', 'main'].map((name) => ['gcc-O2', name] as const),
  );
  const document = JSON.parse(done(['annotate', '--json', ...objects])) as {
    schema: string;
    files: Record<string, unknown>[];
  };
  assert.equal(document.schema, 'textpoke.annotate/1');
  const none = {
    staticCalls: 0,
    staticBranches: 0,
    locks: 0,
    keptLocks: 0,
    alreadyListed: 0,
    rewrittenJumps: 0,
    madeRelative: 0,
    barriers: 0,
    unlistedLocks: 0,
    unprovenLocks: 0,
    firstUnproven: '',
    undecodableBytes: 0,
  };
  assert.deepEqual(document.files, [
    { ...none, file: objects[0], staticCalls: 8, staticBranches: 1, keysAdded: [] },
    { ...none, file: objects[1], staticBranches: 13, keysAdded: [] },
    { ...none, file: objects[2], locks: 6, keptLocks: 1, keysAdded: [] },
    { ...none, file: objects[3], staticCalls: 2, staticBranches: 3, keysAdded: ['__SCK__shared_call'] },
    { ...none, file: objects[4], keysAdded: [] },
  ]);
  const stats = done(['annotate', '--stats', copyOf('gcc-O2', 'key-use')]);
  assert.match(
    stats,
    /2 static calls, 3 static branches, 0 locks listed, 0 listed before, keys added: __SCK__shared_call/,
  );
});

longTest('one process each, one run for all, any order, and -j give the same bytes', [], () => {
  const which = sets.flatMap((set) => namesOf(set).map((name) => [set, name] as const));
  assert.ok(which.length > 100, `${which.length} objects`);
  const many = which.filter((_, i) => i % 3 === 0);
  assert.ok(many.length >= 40, `${many.length} objects`);
  const wanted = many.map(([set, name]) => annotated(set, name));
  const runs = [
    [['-j', '7'], false],
    [['-j', '1'], false],
    [['-j', '2'], true],
    [['-j', '2'], false],
  ] as const;
  for (const [jobs, reverse] of rowsOf(runs, 2)) {
    const { objects } = copies(many);
    const said = done(['annotate', ...jobs, '--stats', ...(reverse ? [...objects].reverse() : objects)]);
    const order = said
      .trim()
      .split('\n')
      .map((line) => line.replace(/: .*/, ''));
    assert.deepEqual(order, reverse ? [...objects].reverse() : objects, jobs.join(' '));
    for (const [i, object] of objects.entries()) {
      assertSameFile(object, wanted[i]!, jobs.join(' '));
    }
  }
  const { objects } = copies(many.slice(0, 8));
  objects.forEach((object, i) => {
    done(['annotate', object]);
    assertSameFile(object, wanted[i]!, object);
  });
});

longTest(
  'a file that fails stops no other: each failure is said in order, and any -j leaves the same files',
  [],
  () => {
    const { objects } = copies(
      Array.from(
        { length: 40 },
        (_, i) =>
          [
            i === 17 || i === 30 ? 'gcc-O2' : (['gcc-O0', 'clang-Os', 'gcc-Os'] as const)[i % 3]!,
            i === 17 ? 'short' : i === 30 ? 'short' : 'call',
          ] as const,
      ),
    );
    const bytes = objects.map((object) => readFileSync(object));
    let left: readonly Buffer[] | undefined;
    for (const jobs of ['1', '2', '5']) {
      const unique = objects.map((object, i) => {
        const path = `${object}.${i}.o`;
        writeFileSync(path, bytes[i]!);
        return path;
      });
      const result = textpoke(['annotate', '-j', jobs, ...unique]);
      assert.equal(result.status, 1);
      assert.match(
        result.stderr,
        /^.*short\.o\.17\.o: .*\[site-unpatchable\]\n.*short\.o\.30\.o: .*\[site-unpatchable\]\n$/,
      );
      const now = unique.map((path) => readFileSync(path));
      now.forEach((content, i) => {
        assert.equal(content.equals(bytes[i]!), i === 17 || i === 30, unique[i]);
      });
      if (left) assert.deepEqual(now, left);
      left = now;
    }
  },
);

longTest(
  'each kind of site alone gives its own table; one after the other, all of them, in any order',
  ['readelf', 'gcc'],
  () => {
    const kinds = Object.keys(tables) as (keyof typeof tables)[];
    const hand = copyOf('gcc-O2', 'hand');
    done(['annotate', hand]);
    for (const kind of kinds) {
      const object = copyOf('gcc-O2', 'hand');
      done(['annotate', kind, object]);
      for (const other of kinds)
        assert.equal(sectionsOf(object, tables[other]), other === kind ? 1 : 0, `${kind} ${other}`);
    }
    for (const order of [kinds, [...kinds].reverse(), [kinds[1]!, kinds[2]!, kinds[0]!]]) {
      const objects = units.map((unit) => [unit, copyOf('gcc-O2', unit)] as const);
      for (const kind of order) done(['annotate', kind, ...objects.map(([, path]) => path)]);
      const program = fresh('turns');
      run('gcc', ['-no-pie', ...objects.map(([, path]) => path), '-o', program]);
      assert.equal(run(program, []), expected());
      assert.deepEqual(countEntries(program), [21, 16, 6]);
      const booted = boot(program);
      assert.equal(run(booted, []), expected());
      assertVerified(booted, ['--original', program]);
    }
    const two = copyOf('gcc-O2', 'hand');
    done(['annotate', '--static-call', '--smp-locks', two]);
    assert.deepEqual([sectionsOf(two, '__jump_table'), sectionsOf(two, '.smp_locks')], [0, 1]);
  },
);

toolTest(
  '--locks chooses which locks are listed; by default an object that lists some keeps to those',
  ['readelf'],
  () => {
    for (const [policy, sections] of [
      ['all', 1],
      ['none', 0],
      ['listed', 0],
    ] as const) {
      const object = copyOf('gcc-O2', 'lock');
      const result = textpoke(['annotate', '--locks', policy, object, '--json']);
      assert.equal(result.status, 0);
      assert.equal(sectionsOf(object, '.smp_locks'), sections, policy);
      const [file] = (JSON.parse(result.stdout) as { files: { locks: number; unlistedLocks: number }[] })
        .files;
      assert.deepEqual(
        [file?.locks, file?.unlistedLocks],
        policy === 'all' ? [6, 0] : policy === 'none' ? [0, 0] : [0, 6],
      );
      if (policy === 'listed')
        assert.match(result.stderr, /6 lock prefixes are not in \.smp_locks; use --locks all/);
      else assert.equal(result.stderr, '');
    }
    // hand.o after ld -r with an annotated lock.o: the locks of hand.o are not listed, and stay so unless asked.
    const mixed = once('mixed.o', (path) => {
      run('ld', ['-r', annotated('gcc-O2', 'lock'), plain('gcc-O2', 'hand'), '-o', path]);
    });
    const byDefault = fresh('mixed.o');
    const result = textpoke(['annotate', mixed, '-o', byDefault]);
    assert.equal(result.status, 0);
    assert.match(result.stderr, /11 lock prefixes are not in \.smp_locks/);
    const all = fresh('mixed.o');
    const said = textpoke(['annotate', '--locks', 'all', mixed, '-o', all, '--stats']);
    assert.match(said.stdout, /11 locks listed, 7 listed before/);
  },
);

toolTest('--module: a missing key is its trampoline, and tables are plain sections', ['readelf'], () => {
  const module = copyOf('gcc-O2-ffunction-sections', 'key-use');
  const said = done(['annotate', '--module', module, '--stats']);
  assert.doesNotMatch(said, /keys added/);
  const relocations = run('readelf', ['-rW', module]);
  const sites = /'\.rela\.static_call_sites'[\s\S]*?(?=\nRelocation section|$)/.exec(relocations)?.[0] ?? '';
  assert.equal(sites.match(/__SCT__shared_call \+ 0/g)?.length, 2);
  assert.doesNotMatch(sites, /__SCK__/);
  for (const name of ['__jump_table', '.static_call_sites']) assert.equal(sectionsOf(module, name), 1, name);
  const headers = run('readelf', ['-SW', module]);
  // Flags: W and A, neither G (group) nor R (retain).
  assert.match(headers, / __jump_table +PROGBITS .* WA +0/);
  assert.match(headers, / \.static_call_sites +PROGBITS .* WA +0/);
  const bound = run('readelf', ['-SW', annotated('gcc-O2-ffunction-sections', 'key-use')]);
  assert.match(bound, / __jump_table +PROGBITS .* WAG +0/);
  // The key that an object defines is used all the same.
  const defines = copyOf('gcc-O2', 'call');
  done(['annotate', '--module', defines]);
  assert.match(run('readelf', ['-rW', defines]), /__SCK__math \+ 0/);
});

toolTest(
  'an archive is annotated member by member, keeps its symbol table, and links',
  ['gcc', 'ld.lld', 'ar', 'nm', 'readelf'],
  () => {
    for (const flags of ['rcs', 'rcsU']) {
      const directory = mkdtempSync(join(workplace(), 'archive-'));
      const archive = join(directory, 'lib.a');
      const members = units.filter((unit) => unit !== 'main');
      run('ar', [flags, archive, ...members.map((unit) => plain('gcc-O2', unit))]);
      const symbols = run('nm', ['-s', archive]).split('\n\n')[0];
      const listing = run('ar', ['t', archive]);
      assert.equal(done(['annotate', archive]), '');
      assert.equal(run('ar', ['t', archive]), listing);
      assert.equal(run('nm', ['-s', archive]).split('\n\n')[0], symbols);
      run('ar', ['x', archive], directory);
      for (const unit of members)
        assertSameFile(join(directory, `${unit}.o`), annotated('gcc-O2', unit), unit);
      for (const linker of ['bfd', 'lld']) {
        const program = join(directory, linker);
        run('gcc', ['-no-pie', `-fuse-ld=${linker}`, plain('gcc-O2', 'main'), archive, '-o', program]);
        assert.equal(run(program, []), expected());
        assert.deepEqual(countEntries(program), [21, 16, 6]);
        assertVerified(boot(program), ['--original', program]);
      }
      const again = readFileSync(archive);
      done(['annotate', archive]);
      assert.deepEqual(readFileSync(archive), again);
    }
  },
);

/** What tells whether a file was written: bytes, inode, time. */
function state(path: string): unknown {
  const { ino, mtimeNs, size } = statSync(path, { bigint: true });
  return { ino, mtimeNs, size, bytes: readFileSync(path).toString('base64') };
}

toolTest(
  'running it again changes nothing, neither bytes nor time; a file that needs nothing is left alone',
  [],
  () => {
    const which = sets.flatMap((set) => namesOf(set).map((name) => [set, name] as const));
    const { directory, objects } = copies(which);
    done(['annotate', ...objects]);
    for (const object of objects) utimesSync(object, 1000, 1000);
    const before = objects.map(state);
    done(['annotate', ...objects]);
    assert.deepEqual(objects.map(state), before);
    assert.equal(readdirSync(directory).length, objects.length);
    const empty = copyOf('gcc-O2', 'main');
    utimesSync(empty, 1000, 1000);
    const untouched = state(empty);
    done(['annotate', empty]);
    assert.deepEqual(state(empty), untouched);
  },
);

toolTest(
  'a symbolic link stays one, and its target is annotated; the same file by two names is annotated once',
  [],
  () => {
    const object = copyOf('gcc-O2', 'call');
    const name = `${object}.link.o`;
    symlinkSync(object, name);
    const said = done(['annotate', name, object, name, '--stats']);
    assert.equal(said.trim().split('\n').length, 1);
    assert.equal(lstatSync(name).isSymbolicLink(), true);
    assertSameFile(object, annotated('gcc-O2', 'call'));
    assert.equal(existsSync(name), true);
  },
);

longTest(
  'an object put together by ld -r after annotate has nothing left to find',
  ['ld.bfd', 'ld.lld', 'readelf'],
  () => {
    for (const set of ['gcc-O2', 'clang-O2-ffunction-sections']) {
      for (const linker of ['bfd', 'lld']) {
        const together = fresh('together.o');
        run(`ld.${linker}`, ['-r', ...units.map((unit) => annotated(set, unit)), '-o', together]);
        const bytes = readFileSync(together);
        assert.match(
          done(['annotate', together, '--stats']),
          /: 0 static calls, 0 static branches, 0 locks listed, 44 listed before/,
        );
        assert.deepEqual(readFileSync(together), bytes);
        // And the other way round: annotated after it was put together.
        const late = fresh('late.o');
        run(`ld.${linker}`, ['-r', ...units.map((unit) => plain(set, unit)), '-o', late]);
        assert.match(
          done(['annotate', late, '--stats']),
          /: 16 static calls, 21 static branches, 6 locks listed, 0 listed before/,
        );
        const program = fresh('late');
        run('gcc', [set === 'gcc-O2' ? '-no-pie' : '-pie', late, '-o', program]);
        assert.equal(run(program, []), expected());
        assert.equal(readTables(program).branches.length, 21);
        assertVerified(boot(program), ['--original', program]);
      }
    }
    const { image } = link({ set: 'gcc-O2', linker: 'bfd', kind: 'no-pie', script: 'none' });
    assert.equal(existsSync(image), true);
  },
);

toolTest(
  'assembler code that names nothing has no symbol table: it gets one when it has a lock, and stays as it is without',
  ['gcc', 'readelf', 'eu-elflint'],
  () => {
    const assembled = (name: string, text: string) => {
      const source = fresh(`${name}.s`);
      writeFileSync(source, `.text\n${text}\n\tret\n.section .note.GNU-stack,"",@progbits\n`);
      const object = fresh(`${name}.o`);
      run('gcc', ['-c', source, '-o', object]);
      assert.doesNotMatch(run('readelf', ['-SW', object]), /SYMTAB/);
      return object;
    };
    const plain = assembled('plain', '\tnop');
    const before = readFileSync(plain);
    done(['annotate', plain]);
    assert.deepEqual(readFileSync(plain), before);
    const locked = assembled('locked', '\tnop\n\tlock; incl (%rax)');
    done(['annotate', '--locks', 'decodable', locked]);
    assert.deepEqual(elflint(locked), ['']);
    assert.match(run('readelf', ['-rW', locked]), /R_X86_64_PC32 .* \.text \+ 1$/m);
    const once = readFileSync(locked);
    done(['annotate', '--locks', 'decodable', locked]);
    assert.deepEqual(readFileSync(locked), once);
  },
);
