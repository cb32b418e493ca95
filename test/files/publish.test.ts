// What becomes of a file that is replaced, of its rights and of the links that lead to it.
import assert from 'node:assert/strict';
import {
  chmodSync,
  chownSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import test, { type TestContext } from 'node:test';
import { buildSync } from 'esbuild';
import { TextpokeError } from '../../src/errors.ts';
import { destinationOf, identityOf, isSameFile, requireOtherFile } from '../../src/files/identity.ts';
import { backUp, executable, publish } from '../../src/files/publish.ts';
import { rootTest, run, scratch, toolTest } from '../tools.ts';

const bytes = new TextEncoder().encode('new');

/** A directory with a file `old`. */
function directoryOf(t: TestContext, mode = 0o644): { directory: string; old: string } {
  const directory = scratch(t);
  const old = join(directory, 'old');
  writeFileSync(old, 'old');
  chmodSync(old, mode);
  if ((mode & 0o200) !== 0) writeFileSync(old, 'old'); // as a compiler leaves it: not touched since it was written
  return { directory, old };
}

const modeOf = (path: string) => statSync(path).mode & 0o7777;
const refusedAs = (code: string, message: RegExp) => (error: unknown) =>
  error instanceof TextpokeError && error.code === code && message.test(error.message);

test('a file that is there keeps its mode, and becomes a program where a program is written', async (t) => {
  for (const [mode, source, wanted] of [
    [0o600, 0o755, 0o711],
    [0o600, 0o644, 0o600],
    [0o664, 0o600, 0o664],
  ] as const) {
    const { directory, old } = directoryOf(t, mode);
    const other = join(directory, 'other');
    writeFileSync(other, '');
    chmodSync(other, source);
    assert.deepEqual(await publish(old, bytes, other), []);
    assert.equal(modeOf(old).toString(8), wanted.toString(8));
    assert.deepEqual([readFileSync(old, 'utf8'), readdirSync(directory).sort()], ['new', ['old', 'other']]);
  }
});

test('a new file has the permissions of what it was made of, without set-id bits', async (t) => {
  const { directory, old } = directoryOf(t, 0o6751);
  await publish(join(directory, 'new'), bytes, old);
  assert.equal(modeOf(join(directory, 'new')), 0o751);
  await publish(join(directory, 'program'), bytes, executable);
  assert.equal(modeOf(join(directory, 'program')), 0o777 & ~process.umask());
});

test('a file is written through links: relative, absolute, to links, and to what is not there yet', async (t) => {
  const { directory, old } = directoryOf(t);
  mkdirSync(join(directory, 'sub'));
  for (const [name, target] of [
    ['a', 'old'],
    ['b', old],
    ['c', 'b'],
    ['d', 'sub/later'],
    ['e', 'd'],
    ['sub/f', '../later'],
  ] as const) {
    const link = join(directory, name);
    symlinkSync(target, link);
    await publish(link, new TextEncoder().encode(name), old);
    assert.equal(readlinkSync(link), target);
    assert.equal(readFileSync(link, 'utf8'), name);
  }
  assert.equal(readFileSync(old, 'utf8'), 'c');
  assert.equal(readFileSync(join(directory, 'sub/later'), 'utf8'), 'e');
  assert.equal(readFileSync(join(directory, 'later'), 'utf8'), 'sub/f');
});

test('what cannot be replaced is refused and left', async (t) => {
  const { directory, old } = directoryOf(t, 0o444);
  symlinkSync('round', join(directory, 'round'));
  symlinkSync('none/x', join(directory, 'nowhere'));
  for (const [path, message] of [
    [old, /^cannot write: the file is read-only$/],
    [directory, /^cannot write: is a directory$/],
    ['/dev/null', /^cannot write: is not a regular file$/],
    [join(directory, 'round'), /ELOOP/],
    [join(directory, 'nowhere'), /ENOENT/],
  ] as const) {
    await assert.rejects(publish(path, bytes, old), refusedAs('write-failed', message), path);
  }
  assert.deepEqual(readdirSync(directory).sort(), ['nowhere', 'old', 'round']);
});

test('a file that somebody replaced, wrote or removed after it was read is left as it is', async (t) => {
  const changes: ((old: string) => void)[] = [
    (old) => {
      writeFileSync(`${old}2`, 'old');
      renameSync(`${old}2`, old);
    },
    (old) => writeFileSync(old, 'longer'),
    (old) => utimesSync(old, 1, 1),
    (old) => renameSync(old, `${old}.away`),
  ];
  for (const change of changes) {
    const { directory, old } = directoryOf(t);
    const seen = identityOf(old);
    change(old);
    const before = readdirSync(directory).map((name) => [name, readFileSync(join(directory, name), 'utf8')]);
    const message = /the file was changed or replaced after it was read/;
    await assert.rejects(publish(old, bytes, directory, seen), refusedAs('write-failed', message));
    await assert.rejects(backUp(old, bytes, seen), refusedAs('write-failed', message));
    const after = readdirSync(directory).map((name) => [name, readFileSync(join(directory, name), 'utf8')]);
    assert.deepEqual(after, before);
  }
  // Another process did the same work.
  const { old } = directoryOf(t);
  const seen = identityOf(old);
  writeFileSync(old, bytes);
  assert.deepEqual(await publish(old, bytes, old, seen), []);
});

test('a backup replaces a link of its name and leaves what the link leads to', async (t) => {
  const { directory, old } = directoryOf(t, 0o640);
  writeFileSync(join(directory, 'victim'), 'victim');
  symlinkSync('victim', `${old}.orig`);
  assert.deepEqual(await backUp(old, bytes), []);
  assert.equal(lstatSync(`${old}.orig`).isFile(), true);
  assert.deepEqual([readFileSync(`${old}.orig`, 'utf8'), modeOf(`${old}.orig`)], ['new', 0o640]);
  assert.equal(readFileSync(join(directory, 'victim'), 'utf8'), 'victim');
  // One that is a second name of the object is another file afterwards.
  const { old: named } = directoryOf(t);
  linkSync(named, `${named}.orig`);
  await backUp(named, bytes);
  assert.deepEqual([readFileSync(named, 'utf8'), readFileSync(`${named}.orig`, 'utf8')], ['old', 'new']);
});

test('a backup that cannot be written leaves nothing, and what was there', async (t) => {
  const { directory, old } = directoryOf(t);
  mkdirSync(`${old}.orig`);
  const message = /^cannot write the backup: is a directory$/;
  await assert.rejects(backUp(old, bytes), refusedAs('write-failed', message));
  const { old: kept } = directoryOf(t);
  writeFileSync(`${kept}.orig`, 'precious');
  chmodSync(`${kept}.orig`, 0o400);
  await assert.rejects(backUp(kept, bytes), refusedAs('write-failed', /the file is read-only/));
  assert.equal(readFileSync(`${kept}.orig`, 'utf8'), 'precious');
  assert.deepEqual(readdirSync(directory).sort(), ['old', 'old.orig']);
});

test('names of one file are known as such, however they are spelt and whether it is there or not', (t) => {
  const { directory, old } = directoryOf(t);
  const at = (name: string) => join(directory, name);
  linkSync(old, at('hard'));
  symlinkSync('old', at('soft'));
  symlinkSync(directory, at('here'));
  symlinkSync('missing', at('dangling'));
  for (const name of ['old', 'hard', 'soft', 'here/old']) assert.equal(isSameFile(old, at(name)), true, name);
  assert.equal(isSameFile(at('missing'), at('here/dangling')), true);
  assert.equal(isSameFile(at('missing'), old), false);
  assert.equal(isSameFile(at('missing'), at('other')), false);
  assert.equal(destinationOf(at('here/dangling')), join(destinationOf(directory), 'missing'));
  assert.throws(
    () => requireOtherFile('-o', at('soft'), [at('missing'), at('hard')]),
    refusedAs('usage', /^-o names .*soft, which is .*hard: an input, which would be lost/),
  );
  requireOtherFile('-o', at('new'), [old]);
});

rootTest('owner and group are kept, and set-id bits with them', [], async (t) => {
  const { old } = directoryOf(t);
  chownSync(old, 12345, 23456);
  chmodSync(old, 0o6755);
  assert.deepEqual(await publish(old, bytes, old), []);
  await backUp(old, bytes);
  for (const path of [old, `${old}.orig`]) {
    const { uid, gid } = statSync(path);
    assert.deepEqual([uid, gid, modeOf(path)], [12345, 23456, 0o6755]);
  }
});

rootTest(
  'an owner that cannot be kept is told, set-id bits are dropped, and another group gets what everybody has',
  ['setpriv'],
  async (t) => {
    const { directory, old } = directoryOf(t);
    chmodSync(directory, 0o777);
    chownSync(old, 12345, 23456);
    chmodSync(old, 0o6774);
    // In one file that everybody may read, wherever the checkout is.
    const program = join(directory, 'publish.mjs');
    buildSync({
      entryPoints: [join(import.meta.dirname, '../../src/files/publish.ts')],
      ...{ outfile: program, bundle: true, platform: 'node', format: 'esm' },
    });
    chmodSync(program, 0o644);
    const script = `import { publish } from ${JSON.stringify(program)};
      console.log(JSON.stringify(await publish(${JSON.stringify(old)}, new Uint8Array(1), ${JSON.stringify(old)})));`;
    const node = [process.execPath, '--input-type=module', '-e', script];
    const said = run('setpriv', ['--reuid=54321', '--regid=54321', '--clear-groups', ...node]);
    assert.deepEqual(JSON.parse(said), [
      'the owner 12345:23456 cannot be kept; the file belongs to 54321:54321 now, without set-user-ID and set-group-ID',
    ]);
    assert.deepEqual([statSync(old).uid, modeOf(old).toString(8)], [54321, '744']);
  },
);

const python = (script: string, ...args: string[]) =>
  run('python3', ['-c', `import os, sys\n${script}`, ...args]);
/** An ACL as the kernel has it (include/uapi/linux/posix_acl_xattr.h): rw-, user 12345 r--, ---, mask r--, ---. */
const acl =
  '02000000 01000600ffffffff 0200040039300000 04000000ffffffff 10000400ffffffff 20000000ffffffff'.replaceAll(
    ' ',
    '',
  );

toolTest('ACL and extended attributes are kept', ['python3', 'cp'], async (t) => {
  const { directory, old } = directoryOf(t);
  utimesSync(old, 1e9, 1e9); // as a file that was there before somebody gave it attributes
  const set = `
try:
    os.setxattr(sys.argv[1], 'system.posix_acl_access', bytes.fromhex('${acl}'))
    os.setxattr(sys.argv[1], 'user.note', b'kept')
except OSError as error: print(error)`;
  const refused = python(set, old);
  if (refused !== '') return t.skip(`the file system has none: ${refused}`);
  assert.deepEqual(await publish(old, bytes, old), []);
  await backUp(old, bytes);
  const get = `
for name in ['system.posix_acl_access', 'user.note']: print(os.getxattr(sys.argv[1], name).hex())`;
  for (const path of [old, `${old}.orig`]) {
    assert.equal(python(get, path), `${acl}\n${Buffer.from('kept').toString('hex')}\n`);
    assert.equal(modeOf(path), 0o640);
  }
  assert.equal(existsSync(join(directory, 'old.orig')), true);
});

rootTest('capabilities are kept', ['setcap', 'getcap'], async (t) => {
  const { old } = directoryOf(t, 0o755);
  utimesSync(old, 1e9, 1e9);
  run('setcap', ['cap_net_raw+ep', old]);
  chownSync(old, 12345, 12345);
  run('setcap', ['cap_net_raw+ep', old]);
  assert.deepEqual(await publish(old, bytes, old), []);
  assert.match(run('getcap', [old]), /cap_net_raw/);
});
