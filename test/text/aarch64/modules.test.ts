// The text of a made module of arm64: linked as its loader does it, with alternatives, places for tracing and static branches.
import assert from 'node:assert/strict';
import test from 'node:test';
import {
  EM_AARCH64,
  SHF_ALLOC,
  SHF_EXECINSTR,
  SHT_PROGBITS,
  SHT_RELA,
  STT_FUNC,
} from '../../../src/elf/constants.ts';
import { readElf } from '../../../src/elf/read.ts';
import { Image } from '../../../src/image/image.ts';
import { programOf } from '../../../src/kinds/registry.ts';
import { entryWords } from '../../../src/link/aarch64-loader.ts';
import { linkLoaded } from '../../../src/link/link.ts';
import type { RunningKernel } from '../../../src/memory/kernel/kernel.ts';
import type { FoundModule, ModuleCode } from '../../../src/memory/kernel/module-files.ts';
import type { LoadedModule } from '../../../src/memory/kernel/modules.ts';
import { KernelReader } from '../../../src/memory/kernel/reader.ts';
import type { ImagePlace, Memory } from '../../../src/memory/memory.ts';
import { arm64ModuleLoader, replayArm64Modules } from '../../../src/text/aarch64/modules.ts';
import type { Arm64State } from '../../../src/text/aarch64/state.ts';
import { CallbackValues } from '../../../src/text/aarch64/values.ts';
import { ReplayImage } from '../../../src/text/replay-image.ts';
import type { ReplayedModule } from '../../../src/text/result.ts';
import { textsOf } from '../../../src/text/texts.ts';
import { checkModuleTexts } from '../../../src/verify/module-text.ts';
import { makeObject, symtabAfter } from '../../elf/objects.ts';
import { madeImage, pointersOf, wordsOf } from '../made-image.ts';

const [NOP, RET, BL, KEEP] = [0xd503201f, 0xd65f03c0, 0x94000000, 0xaa1e03e9] as const;
const text = -0x7fff_0000;
const data = text + 0x10_0000;
const slide = 0x20_0000;
/** Out of reach of the kernel's functions. */
const base = -0x4000_0000;
const places = [base, base + 0x100, base + 0x120, base + 0x1000, base + 0x2000] as const;
const [, plt, tramp] = places;
const area = { start: base + slide, size: 0x1000 };

const kernel = madeImage({
  machine: EM_AARCH64,
  class: 64,
  sections: [
    { name: '.text', address: text, bytes: wordsOf(NOP, NOP, RET, RET, RET, RET), what: 'code' },
    { name: '.data', address: data, bytes: new Uint8Array(64), what: 'variables' },
    { name: '__mcount_loc', address: data + 0x1_0000, bytes: pointersOf(text), what: 'data' },
  ],
  symbols: { helper: text + 12, ftrace_caller: text + 16 },
});

const rela = (name: string, info: number, rows: readonly (readonly number[])[]) => {
  const bytes = new Uint8Array(24 * rows.length);
  const view = new DataView(bytes.buffer);
  for (const [i, [offset = 0, type = 0, symbol = 0, addend = 0]] of rows.entries()) {
    view.setBigUint64(24 * i, BigInt(offset), true);
    view.setBigUint64(24 * i + 8, (BigInt(symbol) << 32n) | BigInt(type), true);
    view.setBigInt64(24 * i + 16, BigInt(addend), true);
  }
  return { name: `.rela${name}`, type: SHT_RELA, data: bytes, info, link: symtabAfter(8), entsize: 24 };
};

/** A function that is traced, has an alternative of one word, and calls the kernel; behind it the replacement. */
const code = wordsOf(NOP, NOP, NOP, BL, RET, RET);
const [ABS64, PREL32, CALL26] = [257, 261, 283] as const;
const own = 1;

function moduleFile() {
  const alternative = new Uint8Array(12);
  new DataView(alternative.buffer).setUint16(8, 5, true);
  alternative.set([4, 4], 10);
  const flags = SHF_ALLOC | SHF_EXECINSTR;
  return readElf(
    'made.ko',
    makeObject({
      machine: EM_AARCH64,
      sections: [
        { name: '.text', type: SHT_PROGBITS, flags, data: code },
        { name: '.plt', type: SHT_PROGBITS, flags, data: new Uint8Array(1) },
        { name: '.text.ftrace_trampoline', type: SHT_PROGBITS, flags, data: new Uint8Array(1) },
        { name: '.altinstructions', type: SHT_PROGBITS, flags: SHF_ALLOC, data: alternative },
        {
          name: '__patchable_function_entries',
          type: SHT_PROGBITS,
          flags: SHF_ALLOC,
          data: new Uint8Array(8),
        },
        rela('.text', 1, [[12, CALL26, 2, 0]]),
        rela('.altinstructions', 4, [
          [0, PREL32, own, 8],
          [4, PREL32, own, 20],
        ]),
        rela('__patchable_function_entries', 5, [[0, ABS64, own, 0]]),
      ],
      symbols: [
        { name: 'own', section: 1, info: STT_FUNC, size: code.length },
        { name: 'helper', info: 0x10 },
      ],
    }),
  );
}

const state = (caps: readonly number[], reader: KernelReader): Arm64State => ({
  ...{ has: (cap) => caps.includes(cap), hasEarly: () => false, cap: () => undefined },
  ...{ values: new CallbackValues(() => undefined, reader, undefined), reader },
  ...{ btf: undefined, notes: [], unknown: undefined },
});

/** Replays the module over a memory that has these words in its sections of code. */
function replay(caps: readonly number[], words: readonly (readonly number[])[]) {
  const held = new Uint8Array(0x1000);
  for (const [i, of] of words.entries()) held.set(wordsOf(...of), (places[i] as number) - base);
  const memory: Memory = {
    ...{ format: 'made', addresses: 'virtual', fileSize: held.length },
    runs: { starts: new Float64Array(0), ends: new Float64Array(0) },
    read(address, into) {
      const at = address - area.start;
      if (at < 0 || at + into.length > held.length) return false;
      into.set(held.subarray(at, at + into.length));
      return true;
    },
  };
  const place = {
    ...{ memory, offset: slide, slide, slideFrom: 'a test', kernelMemory: memory, kernelMemoryFrom: '' },
  } as ImagePlace;
  const reader = new KernelReader(memory, kernel);
  const running = { place, list: { modules: [] }, reader } as unknown as RunningKernel;
  const known = state(caps, reader);
  const file = moduleFile();
  const loader = arm64ModuleLoader(kernel, known)(file);
  const codeOf = new Map<number, ModuleCode>();
  const { bytes } = linkLoaded(file, {
    ...{ filled: 'all', slide, loader, external: (name) => kernel.symbols.addressOf(name) },
    places(section) {
      const at = places[section.index - 1];
      if (at === undefined) return undefined;
      const size = loader.sizeOf(section);
      if (section.name.startsWith('.text') || section.name === '.plt')
        codeOf.set(at, {
          name: section.name,
          bytes: size === undefined ? file.data(section) : new Uint8Array(size),
          relocations: 1,
        });
      return { address: at, state: 'here' };
    },
  });
  const module = {
    ...{ name: 'made', at: 0, state: 'live', sections: [], tables: new Map() },
    ...{ memory: [area], text: [area] },
  } as unknown as LoadedModule;
  const image = new Image(readElf('made', bytes));
  const found: FoundModule = {
    module,
    file: { path: 'made.ko', buildId: undefined, image, code: codeOf, init: [] },
  };
  const replayed = new ReplayImage(kernel, place, textsOf(kernel));
  const modules = replayArm64Modules(
    {
      ...{ image: kernel, running, state: known, replay: replayed },
      ...{ program: programOf(replayed, { tables: kernel }), live: { passes: [], updates: () => [] } },
    },
    [found],
  );
  return { modules, findings: [...checkModuleTexts(modules, running, [])] };
}

const entryTo = (at: number, to: number) => entryWords(at + slide, to + slide) as number[];
const call = (BL | (((plt - (base + 12)) / 4) & 0x3ff_ffff)) >>> 0;
const entries = [entryTo(plt, text + 12), entryTo(tramp, text + 16)] as const;

test('a module that is as its loader left it has no finding, and what wrote its bytes is told', () => {
  const { modules, findings } = replay([5], [[KEEP, NOP, RET, call, RET, RET], ...entries]);
  assert.deepEqual(findings, []);
  const [module] = modules as [ReplayedModule];
  assert.equal(module.why, undefined);
  assert.deepEqual(
    module.sections.map(({ text: of, compared }) => [of.name, compared.bytes, compared.unexplained]),
    [
      ['.text', 24, 0],
      ['.plt', 24, 0],
      ['.text.ftrace_trampoline', 12, 0],
    ],
  );
  assert.deepEqual(
    [...new Set(module.passes.map(({ name }) => name))],
    ['relocation', 'alternatives', 'ftrace entries', 'ftrace', 'static branches'],
  );
});

test('a system without the capability keeps the code', () => {
  const { findings } = replay([], [[KEEP, NOP, NOP, call, RET, RET], ...entries]);
  assert.deepEqual(findings, []);
});

for (const [what, words, where] of [
  ['a changed instruction', [[KEEP, NOP, RET, call + 4, RET, RET], ...entries], 'made:own+0xc'],
  [
    'an entry that leads elsewhere',
    [[KEEP, NOP, RET, call, RET, RET], entryTo(plt, text + 16), entries[1]],
    `made:.plt+0x4`,
  ],
  [
    'an entry of tracing that leads elsewhere',
    [[KEEP, NOP, RET, call, RET, RET], entries[0], entryTo(tramp, text + 12)],
    'made:.text.ftrace_trampoline+0x4',
  ],
] as const)
  test(`${what} is found`, () => {
    const { findings } = replay([5], words);
    assert.deepEqual(
      findings.map(({ rule, place }) => [rule, place]),
      [['TP041', where]],
    );
  });
