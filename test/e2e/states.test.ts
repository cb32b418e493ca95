// textpoke states, from kernel files to a document and to its compact form; and files whose tables are damaged.
import assert from 'node:assert/strict';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { gzipSync } from 'node:zlib';
import { readPolicy } from '../../src/policy/binary.ts';
import { bzImageOf } from '../kernel-room/made-files.ts';
import { rodataAt } from '../kinds/made-kernel.ts';
import { kernelBytes, relocations } from '../policy/kernel.ts';
import { scratch } from '../tools.ts';
import { textpoke } from './programs.ts';

test('states prints the policy of a vmlinuz, and -o writes the same in compact form', (t) => {
  const directory = scratch(t);
  const file = join(directory, 'vmlinuz');
  writeFileSync(
    file,
    bzImageOf(new Uint8Array(gzipSync(Buffer.concat([kernelBytes('6.12.0'), relocations])))),
  );
  const told = textpoke(['states', file]);
  assert.equal(told.status, 0, told.stderr);
  const document = JSON.parse(told.stdout);
  assert.equal(document.schema, 'textpoke.policy/1');
  const compact = join(directory, 'policy');
  assert.equal(textpoke(['states', file, '-o', compact]).status, 0);
  const policy = readPolicy(new Uint8Array(readFileSync(compact)));
  assert.equal(policy.addresses.length, document.places.length);
  assert.ok(
    policy.stretches.some(({ added }) => added.length > 0),
    'the lists behind the kernel tell what the loader changes',
  );
});

test('a vmlinux has no list of what the loader changes, which a note says', (t) => {
  const file = join(scratch(t), 'vmlinux');
  writeFileSync(file, kernelBytes('7.3.0'));
  const { status, stderr } = textpoke(['states', file, '-o', `${file}.policy`]);
  assert.equal(status, 0);
  assert.match(stderr, /not moved/);
});

test('a kernel with a damaged table is refused by its error, and nothing is written', (t) => {
  const file = join(scratch(t), 'vmlinux');
  const damaged = kernelBytes('6.1.0', (made) => ({
    ...made,
    symbols: { ...made.symbols, __return_sites_end: rodataAt + 0x380 + 10 },
  }));
  writeFileSync(file, damaged);
  const { status, stdout, stderr } = textpoke(['states', file, '-o', `${file}.policy`]);
  assert.deepEqual([status, stdout], [3, '']);
  assert.match(stderr, /\[table-malformed\]/);
  assert.ok(!existsSync(`${file}.policy`), 'a policy was written');
});
