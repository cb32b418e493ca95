// A kernel whose memory was read while it changed its text: each place holds the old code, the new, or a breakpoint in front of
// either.
import assert from 'node:assert/strict';
import test from 'node:test';
import { readPokes } from '../../../src/memory/kernel/pokes.ts';
import { jumpTo } from '../../../src/text/x86-64/jump.ts';
import { pokes } from '../../../src/text/x86-64/pokes.ts';
import { MadeKernel, slide } from '../made-kernel.ts';

const nop = Uint8Array.of(0x0f, 0x1f, 0x44, 0, 0);
const behind = (bytes: Uint8Array) => Uint8Array.of(0xcc, ...bytes.subarray(1));

type Form = 'before 6.16' | 'since 6.16';

/** Has a batch with one change under way: of the first traced function, to `bytes`. */
function batch(
  made: MadeKernel,
  form: Form,
  bytes: Uint8Array,
  old: number,
  count = 1,
  length = bytes.length,
): void {
  const array = made.at('text_poke_array');
  const vec = form === 'since 6.16' ? array : made.at('tp_vec');
  const number = (value: number) => Uint8Array.of(value, value >> 8, value >> 16, value >> 24);
  const entry = Uint8Array.of(
    ...number(made.site(0) - made.at('_stext')),
    ...number(0),
    ...[length, bytes[0] as number],
    ...bytes,
    ...new Uint8Array(5 - bytes.length),
    old,
  );
  made.put(vec, entry);
  if (form === 'since 6.16') made.put(array + 64, number(count));
  else {
    made.word(made.at('bp_desc'), vec);
    made.put(made.at('bp_desc') + 8, [...number(count), ...number(1)]);
  }
}

/** What the pass accepts at the site, in hexadecimal, and what it says is wrong. */
function run(made: MadeKernel, expected: Uint8Array): { accepted: string[]; wrong: string[]; left: number } {
  made.text.write(made.site(0) - slide, expected, 'ftrace');
  const kernel = made.freshKernel();
  const isCode = (address: number) => made.image.codeAt(address - slide) !== undefined;
  const result = pokes(readPokes(kernel), kernel.reader, isCode).run({
    ...{ image: made.image, slide, texts: made.texts, state: undefined },
  });
  const notes = result?.notes ?? [];
  return {
    accepted: made.text.others.map(({ bytes }) => Buffer.from(bytes).toString('hex')),
    wrong: notes.flatMap(({ severity, message }) => (severity === 'wrong' ? [message] : [])),
    left: notes.filter(({ severity }) => severity === 'left').length,
  };
}

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');

for (const form of ['before 6.16', 'since 6.16'] as const) {
  const made = () => {
    const kernel = new MadeKernel();
    return { kernel, call: jumpTo(0xe8, kernel.site(0), kernel.at('ftrace_caller')) as Uint8Array };
  };
  for (const [step, standing] of [
    ['the old code', (_: Uint8Array) => nop],
    ['a breakpoint in front of the old', (_: Uint8Array) => behind(nop)],
    ['a breakpoint in front of the new', (call: Uint8Array) => behind(call)],
  ] as const) {
    test(`${form}: ${step} is right while the new code is written`, () => {
      const { kernel, call } = made();
      batch(kernel, form, call, 0x0f);
      kernel.put(kernel.site(0), standing(call));
      assert.deepEqual(run(kernel, call), { accepted: [hex(standing(call))], wrong: [], left: 1 });
    });
  }

  test(`${form}: the record that says so may come behind the code`, () => {
    const { kernel, call } = made();
    batch(kernel, form, call, 0x0f);
    for (const standing of [call, behind(call), behind(nop)]) {
      const again = new MadeKernel();
      batch(again, form, call, 0x0f);
      again.put(again.site(0), standing);
      assert.deepEqual(run(again, nop), { accepted: [hex(standing)], wrong: [], left: 1 });
    }
  });

  test(`${form}: other code than the old or the new is not accepted`, () => {
    for (const change of [(b: Uint8Array) => b.fill(0x90, 1), (b: Uint8Array) => b.fill(0xf4, 0, 1)]) {
      const { kernel, call } = made();
      batch(kernel, form, call, 0x0f);
      const standing = behind(nop);
      change(standing);
      kernel.put(kernel.site(0), standing);
      assert.deepEqual(run(kernel, call), { accepted: [], wrong: [], left: 1 });
    }
  });

  test(`${form}: the old code may be a call of code, and of nothing else`, () => {
    for (const [to, accepted] of [
      ['ftrace_regs_caller', 1],
      ['kprobe_table', 0],
    ] as const) {
      const { kernel, call } = made();
      batch(kernel, form, call, 0xe8);
      kernel.put(kernel.site(0), behind(jumpTo(0xe8, kernel.site(0), kernel.at(to)) as Uint8Array));
      assert.equal(run(kernel, call).accepted.length, accepted, to);
    }
  });

  test(`${form}: static branches of 2 bytes and conditional calls of 6 are changed in the same way`, () => {
    for (const [to, from, accepted] of [
      [[0xeb, 0x10], [0x66, 0x90], 1],
      [[0x66, 0x90], [0xeb, 0x10], 1],
      [[0xeb, 0x10], [0x66, 0x91], 0],
      [[0x0f, 0x84, 0x10, 0, 0, 0], [0x0f, 0x84, 0x20, 0, 0, 0], 1],
      [[0x0f, 0x84, 0x10, 0, 0, 0], [0x0f, 0x84, 0, 0, 0, 0x40], 0],
    ] as const) {
      const { kernel } = made();
      const [now, before] = [Uint8Array.from(to), Uint8Array.from(from)];
      // The batch has the length, and up to 5 bytes: of 6 the first is left out.
      batch(kernel, form, now.subarray(now.length === 6 ? 1 : 0), before[0] as number, 1, now.length);
      kernel.put(kernel.site(0), behind(before));
      assert.equal(run(kernel, now).accepted.length, accepted, hex(before));
    }
  });

  test(`${form}: a batch that leads to other code than the records say is wrong`, () => {
    const { kernel, call } = made();
    batch(kernel, form, Uint8Array.of(0xe9, 0, 0, 0, 0), 0xc3);
    kernel.put(kernel.site(0), [0xcc, 0, 0, 0, 0]);
    const { accepted, wrong } = run(kernel, call);
    assert.deepEqual([accepted, wrong.length], [[], 1]);
  });

  test(`${form}: a batch that is none is wrong`, () => {
    for (const [bytes, count] of [
      [nop, 1 << 20],
      [new Uint8Array(0), 1],
    ] as const) {
      const { kernel, call } = made();
      batch(kernel, form, bytes.length > 0 ? bytes : Uint8Array.of(), 0x0f, count);
      const { accepted, wrong } = run(kernel, call);
      assert.deepEqual([accepted, wrong.length], [[], 1]);
    }
  });
}

test('without a batch nothing is accepted', () => {
  const made = new MadeKernel();
  made.put(made.site(0), behind(nop));
  assert.deepEqual(run(made, nop), { accepted: [], wrong: [], left: 0 });
});
