// Probes of a made kernel: what stands at their places, and what runs instead of the code under them.
import assert from 'node:assert/strict';
import test from 'node:test';
import { hexBytes } from '../../../src/bytes/integer.ts';
import { readKprobes } from '../../../src/memory/kernel/kprobes.ts';
import { jumpTo } from '../../../src/text/x86-64/jump.ts';
import { kprobes } from '../../../src/text/x86-64/kprobes.ts';
import { generated, MadeKernel, slide, templateSize } from '../made-kernel.ts';

const smap = 9 * 32 + 20;
const [gone, disabled, optimized, ftrace] = [1, 2, 4, 8];
/** Where a probe is in a function: pushq %r15; pushq %r14; a load by distance, whose copy leads to the same place. */
const pushes = 5;
const load = 9;

function probe(made: MadeKernel, has = (feature: number) => feature === smap): string[] {
  const tables = readKprobes(made.freshKernel());
  const subject = { image: made.image, slide, texts: made.texts, state: undefined };
  return (kprobes(made.kernel, tables, has).run(subject)?.notes ?? []).map(({ message }) => message);
}

const codeAt = (made: MadeKernel, address: number, size = 5) => hexBytes(made.text.at(address - slide, size));

/** A slot with a copy of the instruction of 2 bytes at a place, and int3 or a jump back behind it. */
function slotOf(made: MadeKernel, address: number, at: number, isBoosted = false): number {
  const code = made.bytes(address, 2);
  const back = jumpTo(0xe9, at + 2, address + 2) as Uint8Array;
  made.put(at, [...code, ...(isBoosted ? back : [0xcc])]);
  return at;
}

/** A detour as the kernel makes it: for `size` bytes of code whose load, if any, is at `loadAt` of them. */
function detourOf(
  made: MadeKernel,
  address: number,
  at: number,
  size: number,
  owner: number,
  loadAt?: number,
): void {
  const image = made.image;
  const name = (part: string) => image.symbols.addressOf(`optprobe_template_${part}`) as number;
  const start = name('entry');
  const bytes = new Uint8Array(templateSize + size + 5);
  bytes.set(image.read(start, templateSize));
  bytes.set([0x0f, 0x01, 0xca], name('clac') - start);
  bytes.set([0x48, 0xbf], name('val') - start);
  new DataView(bytes.buffer).setBigInt64(name('val') - start + 2, BigInt(owner), true);
  const call = name('call') - start;
  bytes.set(jumpTo(0xe8, at + call, made.at('optimized_callback')) as Uint8Array, call);
  bytes.set(made.bytes(address, size), templateSize);
  if (loadAt !== undefined) {
    const field = templateSize + loadAt + 3;
    const view = new DataView(bytes.buffer);
    view.setInt32(field, view.getInt32(field, true) + address - (at + templateSize), true);
  }
  bytes.set(jumpTo(0xe9, at + templateSize + size, address + size) as Uint8Array, templateSize + size);
  made.put(at, bytes);
}

/** A probe in function 1 that is a jump: over two pushes and a load (11 bytes). */
function jumping(isQueued = false): { made: MadeKernel; address: number; detour: number; made2: number } {
  const made = new MadeKernel();
  const address = made.site(1) + pushes;
  const detour = generated + 0x400;
  const kept = [...made.bytes(address + 1, 4)];
  const owner = made.probe(address, optimized, slotOf(made, address, generated), {
    ...{ detour, size: 11, kept, isQueued },
  });
  detourOf(made, address, detour, 11, owner, 4);
  return { made, address, detour, made2: owner };
}

for (const isBoosted of [false, true]) {
  test(`a probe is an int3, and its slot a copy that ${isBoosted ? 'jumps back' : 'stops'} behind it`, () => {
    const made = new MadeKernel();
    const address = made.site(0) + pushes;
    made.probe(address, 0, slotOf(made, address, generated, isBoosted));
    assert.deepEqual(probe(made), []);
    assert.equal(codeAt(made, address, 2), 'cc57');
  });
}

test('a copy of a load by distance leads to what the load leads to', () => {
  const made = new MadeKernel();
  const address = made.site(0) + load;
  made.probe(address, 0, generated);
  const code = made.bytes(address, 7);
  const view = new DataView(code.buffer);
  view.setInt32(3, view.getInt32(3, true) + address - generated, true);
  made.put(generated, [...code, 0xcc]);
  assert.deepEqual(probe(made), []);
  assert.equal(codeAt(made, address, 1), 'cc');
});

for (const [name, flags] of [
  ['that is gone', gone],
  ['that is disabled', disabled],
  ['of ftrace', ftrace],
] as const) {
  test(`a probe ${name} changes nothing`, () => {
    const made = new MadeKernel();
    const address = made.site(0) + pushes;
    made.probe(address, flags, 0);
    assert.deepEqual(probe(made), []);
    assert.equal(codeAt(made, address, 1), '41');
  });
}

test('no probe is armed where all are disarmed', () => {
  const made = new MadeKernel();
  const address = made.site(0) + pushes;
  made.probe(address, 0, 0);
  made.put(made.at('kprobes_all_disarmed'), [1]);
  assert.deepEqual(probe(made), []);
  assert.equal(codeAt(made, address, 1), '41');
});

test('an optimised probe is a jump to its detour; while it waits, an int3 is right as well', () => {
  for (const isQueued of [false, true]) {
    const { made, address, detour } = jumping(isQueued);
    assert.deepEqual(probe(made), []);
    assert.equal(codeAt(made, address), hexBytes(jumpTo(0xe9, address, detour) as Uint8Array));
    const others = made.text.others.map((other) => hexBytes(other.bytes));
    assert.deepEqual(others, isQueued ? ['cc57415648'] : []);
  }
});

test('without SMAP a detour clears no flag', () => {
  const { made } = jumping();
  const [message] = probe(made, () => false);
  assert.match(message ?? '', /has a detour that is not what the kernel makes/);
});

test('every changed byte of a detour is told', () => {
  const { made, detour } = jumping();
  for (let at = 0; at < templateSize + 11 + 5; at++) {
    const [byte = 0] = made.bytes(detour + at, 1);
    made.put(detour + at, [byte ^ 0x10]);
    const again = new MadeKernel();
    const kernel = made.freshKernel();
    const subject = { image: made.image, slide, texts: again.texts, state: undefined };
    const result = kprobes(kernel, readKprobes(kernel), (feature) => feature === smap).run(subject);
    assert.equal(result?.notes.length, 1, `byte ${at}`);
    made.put(detour + at, [byte]);
  }
});

for (const [name, change, message] of [
  [
    'another byte than the code has',
    (made: MadeKernel, at: number) => made.put(at + 32, [0x90]),
    /keeps another byte than the code under it has/,
  ],
  [
    'a slot with another instruction',
    (made: MadeKernel) => made.put(generated, [0x90, 0x90]),
    /runs another instruction than the one under it/,
  ],
  [
    'a slot that goes on elsewhere',
    (made: MadeKernel) => made.put(generated + 2, [0xe9, 0, 0, 0, 0]),
    /does not come back from its copied instruction/,
  ],
  [
    'a detour of another probe',
    (made: MadeKernel, at: number) => {
      const owner = made.image.symbols.addressOf('optprobe_template_val') as number;
      const start = made.image.symbols.addressOf('optprobe_template_entry') as number;
      made.word(generated + 0x400 + owner - start + 2, at + 8);
    },
    /has a detour that names another probe/,
  ],
  [
    'a jump over more than any has',
    (made: MadeKernel, at: number) => made.word(at + 96, 0x7fff_ffff),
    /is said to replace 2147483647 bytes/,
  ],
  [
    'other bytes under its jump',
    (made: MadeKernel, at: number) => made.put(at + 80, [1, 2, 3, 4]),
    /keeps other bytes than those of the code under its jump/,
  ],
  [
    'a chain that leads in circles',
    (made: MadeKernel, at: number) => made.word(at, at),
    /a list of kprobe_table leads in circles/,
  ],
] as const) {
  test(`a probe with ${name} is told`, () => {
    const { made, made2 } = jumping();
    change(made, made2);
    const notes = probe(made);
    assert.ok(
      notes.some((note) => message.test(note)),
      notes.join('\n'),
    );
  });
}
