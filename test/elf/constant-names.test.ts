// Names of ELF's numbers in messages: those of the constants, and numbers where there is none.
import assert from 'node:assert/strict';
import test from 'node:test';
import { architectures } from '../../src/arch/registry.ts';
import {
  constantName,
  fileTypes,
  identClasses,
  identOrders,
  identVersions,
  machineName,
  sectionTypes,
} from '../../src/elf/constant-names.ts';
import * as constants from '../../src/elf/constants.ts';
import { readElf } from '../../src/elf/read.ts';
import { makeObject } from './objects.ts';

const rows = [
  ['SHT_', sectionTypes],
  ['ET_', fileTypes],
  ['ELFCLASS', identClasses],
  ['ELFDATA', identOrders],
  ['EV_', identVersions],
] as const;

for (const [prefix, names] of rows) {
  test(`every constant ${prefix}… has its own name in messages`, () => {
    const all = Object.entries(constants).filter(([name]) => name.startsWith(prefix));
    assert.notEqual(all.length, 0);
    for (const [name, value] of all) assert.equal(constantName(names, value), name);
  });
}

test('a number without a name is shown as it is', () => {
  assert.deepEqual([constantName(sectionTypes, 0x7000), machineName(9999)], ['0x7000', 'machine 9999']);
});

test('every machine that is supported has a name', () => {
  for (const { arch } of architectures) assert.doesNotMatch(machineName(arch.machine), /^machine/);
});

test('a section of the wrong type is named by its type, and so are those that would do', () => {
  for (const [type, name] of [
    [1, 'SHT_PROGBITS'],
    [0x7000, '0x7000'],
  ] as const) {
    const file = readElf('test.o', makeObject({ broken: { '.strtab': { type } } }));
    assert.throws(
      () => file.symbols(file.symtab ?? assert.fail()),
      new RegExp(`sh_link of .symtab names section 2, whose type is ${name}; SHT_STRTAB is required`),
    );
  }
});
