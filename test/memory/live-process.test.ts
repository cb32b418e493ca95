// The memory of a process that runs: here of this one, and of what is none.
import assert from 'node:assert/strict';
import { statSync } from 'node:fs';
import test from 'node:test';
import type { ElfHeader } from '../../src/elf/header.ts';
import { TextpokeError } from '../../src/errors.ts';
import { codeFilesOf, openProcess, programFileOf } from '../../src/memory/live-process.ts';

const header = { class: 64, little: true } as ElfHeader;

test('a process has the files that are mapped where /proc says, and AT_ENTRY in its program', () => {
  const { memories, process: notes, close } = openProcess(process.pid, header);
  try {
    const [memory] = memories;
    assert.ok(memory?.isLive && notes, 'there is memory, which changes');
    const program = statSync(programFileOf(process.pid)).ino;
    const begin = notes.files.find(({ name, offset }) => offset === 0 && statSync(name).ino === program);
    assert.ok(begin, 'the program is mapped from its first byte on');
    const bytes = new Uint8Array(4);
    assert.equal(memory.read(begin.start, bytes), true);
    assert.deepEqual([...bytes], [0x7f, 0x45, 0x4c, 0x46]);
    const entered = notes.files.find(
      ({ start, end }) => (notes.entry ?? 0) >= start && (notes.entry ?? 0) < end,
    );
    assert.equal(entered?.name, begin.name);
    assert.equal(memory.read(0, bytes), false, 'nothing lies at 0');
  } finally {
    close();
  }
});

test('the files with code begin with the program, and each is there once', () => {
  const files = codeFilesOf(process.pid);
  assert.equal(files[0], programFileOf(process.pid));
  assert.equal(new Set(files).size, files.length);
});

test('what is no process is refused, with what to look at', () => {
  for (const read of [() => openProcess(99_999_999, header), () => programFileOf(99_999_999)])
    assert.throws(
      read,
      (error) =>
        error instanceof TextpokeError &&
        error.code === 'read-failed' &&
        /there is no process 99999999/.test(error.message),
    );
});
