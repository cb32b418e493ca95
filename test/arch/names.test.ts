// Names of machines, as compilers, distributions and people have them.
import assert from 'node:assert/strict';
import test from 'node:test';
import { architectures, archNamed } from '../../src/arch/registry.ts';

test('a machine is known by its usual names, in any case, and by a target of a compiler', () => {
  const rows = [
    ['x86_64', 'x86-64'],
    ['AMD64', 'x86-64'],
    ['x86-64', 'x86-64'],
    ['x86_64-pc-linux-gnu', 'x86-64'],
    ['aarch64', 'AArch64'],
    ['ARM64', 'AArch64'],
    ['aarch64-linux-gnu', 'AArch64'],
    ['aarch64_be-none-elf', 'AArch64 big-endian'],
    ['arm', 'ARM'],
    ['armv7l', 'ARM'],
    ['arm-linux-gnueabihf', 'ARM'],
    ['armeb', 'ARM BE8'],
  ] as const;
  for (const [name, machine] of rows) assert.equal(archNamed(name).name, machine, name);
  for (const { arch } of architectures) assert.equal(archNamed(arch.name), arch);
});

test('no two machines have one name, and another name is refused', () => {
  const names = architectures.flatMap((row) => row.names);
  assert.deepEqual([...new Set(names)], names);
  for (const name of ['', 'i386', '-', 'x86'])
    assert.throws(() => archNamed(name), /unknown machine .*; known machines: x86-64, aarch64/, name);
});
