// The text of modules: linked as a loader does it, patched as the kernel does it, and the room between their sections.
import assert from 'node:assert/strict';
import test from 'node:test';
import {
  SHF_ALLOC,
  SHF_EXECINSTR,
  SHF_WRITE,
  SHT_PROGBITS,
  SHT_RELA,
  STT_FUNC,
  STT_OBJECT,
} from '../../src/elf/constants.ts';
import type { ElfFile } from '../../src/elf/file.ts';
import { readElf } from '../../src/elf/read.ts';
import { Image } from '../../src/image/image.ts';
import { linkLoaded } from '../../src/link/link.ts';
import type { RunningKernel } from '../../src/memory/kernel/kernel.ts';
import type { FoundModule, ModuleCode } from '../../src/memory/kernel/module-files.ts';
import type { LoadedModule } from '../../src/memory/kernel/modules.ts';
import type { ImagePlace, Memory } from '../../src/memory/memory.ts';
import { memoryTextLines, memoryTextOf } from '../../src/output/memory-text.ts';
import { roomOf } from '../../src/text/module-room.ts';
import { ReplayImage } from '../../src/text/replay-image.ts';
import type { ReplayedModule, ReplayedText } from '../../src/text/result.ts';
import { programOfReplay } from '../../src/text/x86-64/keyed.ts';
import { replayX86Modules } from '../../src/text/x86-64/modules.ts';
import { checkModuleTexts } from '../../src/verify/module-text.ts';
import { makeObject, symtabAfter } from '../elf/objects.ts';
import { branchHex, bytesOf, hexOf, madeKernel, madeSubject, textStart } from './x86-64/made.ts';

const slide = 0x400_0000;
const functions = { helper: 0x100, __x86_return_thunk: 0x200 };
const kernel = madeKernel({ code: { 256: 'c3', 512: 'c3' }, functions });

/** Where sections of the module are loaded to, as linked, by their numbers; none of .rela sections. */
const base = textStart + 0x2000_0000;
const perCpu = 0x3_0000;
const places = { text: base, cold: base + 0x40, table: base + 0x1000, data: base + 0x2000 };
const area = { start: base + slide, size: 0x1000 };

const [R64, PC32, PLT32, S32] = [1, 2, 4, 11] as const;

function relocations(
  rows: readonly (readonly [offset: number, type: number, symbol: number, addend: number])[],
) {
  const data = new Uint8Array(24 * rows.length);
  const view = new DataView(data.buffer);
  rows.forEach(([offset, type, symbol, addend], i) => {
    view.setBigUint64(24 * i, BigInt(offset), true);
    view.setBigUint64(24 * i + 8, (BigInt(symbol) << 32n) | BigInt(type), true);
    view.setBigInt64(24 * i + 16, BigInt(addend), true);
  });
  return data;
}

const symbols = { own: 1, variable: 2, counter: 3, number: 4, thunk: 5, helper: 6 };

/** movabs $own, %rax; mov $number, %ecx; mov $variable, %rdx; inc %gs:counter(%rip); call helper; jmp thunk */
const code =
  '48b80000000000000000' + 'b900000000' + '48c7c200000000' + '6548ff0500000000' + 'e800000000' + 'e900000000';
const returnAt = 35;

function moduleFile(): ElfFile {
  const text = bytesOf(code);
  const flags = SHF_ALLOC | SHF_EXECINSTR;
  const symtab = symtabAfter(7);
  const rela = (name: string, info: number, data: Uint8Array) => ({
    ...{ name: `.rela${name}`, type: SHT_RELA, data, info, link: symtab, entsize: 24 },
  });
  const bytes = makeObject({
    sections: [
      { name: '.text', type: SHT_PROGBITS, flags, data: text },
      { name: '.text.unlikely', type: SHT_PROGBITS, flags, data: bytesOf('90c3') },
      { name: '.return_sites', type: SHT_PROGBITS, flags: SHF_ALLOC, data: new Uint8Array(4) },
      { name: '.data', type: SHT_PROGBITS, flags: SHF_ALLOC | SHF_WRITE, data: new Uint8Array(8) },
      { name: '.data..percpu', type: SHT_PROGBITS, flags: SHF_ALLOC | SHF_WRITE, data: new Uint8Array(16) },
      rela(
        '.text',
        1,
        relocations([
          [2, R64, symbols.own, 0],
          [11, S32, symbols.number, 0],
          [18, S32, symbols.variable, 0],
          [26, PC32, symbols.counter, -4],
          [31, PLT32, symbols.helper, -4],
          [36, PLT32, symbols.thunk, -4],
        ]),
      ),
      rela('.return_sites', 3, relocations([[0, PC32, symbols.own, returnAt]])),
    ],
    symbols: [
      { name: 'own', section: 1, info: STT_FUNC, size: text.length },
      { name: 'variable', section: 4, info: STT_OBJECT },
      { name: 'counter', section: 5, value: 8, info: STT_OBJECT },
      { name: 'number', shndx: 0xfff1, value: 0x1234 },
      { name: '__x86_return_thunk', info: 0x10 },
      { name: 'helper', info: 0x10 },
    ],
  });
  return readElf('made.ko', bytes);
}

/** As a loader and the kernel leave it on a processor that needs no return thunk. */
const runs = (to: number) => to + slide;
const le = (value: number, size: 4 | 8) => {
  const bytes = Buffer.alloc(size);
  if (size === 8) bytes.writeBigInt64LE(BigInt(value));
  else bytes.writeInt32LE(value | 0);
  return bytes.toString('hex');
};
const right = [
  `48b8${le(runs(base), 8)}`,
  `b9${le(0x1234, 4)}`,
  `48c7c2${le(runs(places.data), 4)}`,
  `6548ff05${le(perCpu + 8 - (runs(base) + 30), 4)}`,
  branchHex('e8', base + 30, textStart + functions.helper),
  'c3cccccccc',
].join('');

function found(): FoundModule {
  const file = moduleFile();
  const codeOf = new Map<number, ModuleCode>();
  const { bytes } = linkLoaded(file, {
    filled: ({ name }) => name.startsWith('.text') || name === '.return_sites',
    slide,
    places({ index, name, size }) {
      if (name === '.data..percpu') return { address: perCpu - slide, state: 'apart' };
      const at = [places.text, places.cold, places.table, places.data][index - 1];
      if (at === undefined) return undefined;
      if (name.startsWith('.text'))
        codeOf.set(at, {
          name,
          bytes: file.data(file.sections[index] as never).subarray(0, size),
          relocations: 1,
        });
      return { address: at, state: 'here' };
    },
    external: (name) => kernel.symbols.addressOf(name),
  });
  const module = {
    ...{ name: 'made', at: 0, state: 'live', perCpu, sections: [], tables: new Map() },
    ...{ memory: [area], text: [area] },
  } as LoadedModule;
  const image = new Image(readElf('made', bytes));
  return { module, file: { path: 'made.ko', buildId: undefined, image, code: codeOf, init: [] } };
}

/** Replays the module over a memory that is right but for some bytes, by their offset in the module's pages. */
function replay(writes: readonly (readonly [offset: number, hex: string])[] = []) {
  const held = new Uint8Array(0x3000);
  held.set(bytesOf(right));
  held.set(bytesOf('90c3'), places.cold - base);
  for (const [offset, hex] of writes) held.set(bytesOf(hex), offset);
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
  const subject = madeSubject(kernel, { features: { RETHUNK: false }, slide });
  const place = {
    ...{ memory, offset: slide, slide, slideFrom: 'a test', kernelMemory: memory, kernelMemoryFrom: '' },
  } as ImagePlace;
  const running = { place, list: { modules: [] }, reader: subject.state.reader } as unknown as RunningKernel;
  const image = new ReplayImage(kernel, place, subject.texts);
  const modules = replayX86Modules(
    {
      ...{ image: kernel, running, state: subject.state, replay: image },
      ...{ program: programOfReplay(image, kernel), isFunction: () => true },
      live: { passes: [], wrong: [], counted: [], notes: [], executable: undefined },
    },
    [found()],
  );
  return { modules, findings: [...checkModuleTexts(modules, running, [])] };
}

test('a module that is as it was loaded has no finding, and what wrote its bytes is told', () => {
  const { modules, findings } = replay();
  assert.deepEqual(findings, []);
  const [module] = modules as [ReplayedModule];
  assert.equal(module.why, undefined);
  assert.deepEqual(
    module.sections.map(({ text, compared }) => [text.name, compared.bytes, compared.unexplained]),
    [
      ['.text', 40, 0],
      ['.text.unlikely', 2, 0],
    ],
  );
  const [text] = module.sections;
  assert.equal(text && hexOf(text.text.bytes), right);
  assert.deepEqual(
    text?.compared.kinds.map(({ kind }) => kind),
    ['relocation', 'return'],
  );
  assert.equal(module.room, 0x1000 - 42);
});

test('a changed byte of a module is told by module and function, with what must stand there', () => {
  const { findings } = replay([[returnAt, 'e9']]);
  assert.deepEqual(
    findings.map(({ rule, place, found: bytes, expected }) => [
      rule,
      place,
      bytes && hexOf(bytes),
      expected && hexOf(expected),
    ]),
    [['TP041', 'made:own+0x23', 'e9', 'c3']],
  );
});

test('a place of a section without symbols is told by the section', () => {
  const { findings } = replay([[0x41, 'cc']]);
  assert.deepEqual(
    findings.map(({ rule, place }) => [rule, place]),
    [['TP041', 'made:.text.unlikely+0x1']],
  );
});

test('code between the sections of a module and behind them is told', () => {
  const { findings } = replay([
    [0x60, 'e811223344'],
    [0xffe, '90c3'],
  ]);
  assert.deepEqual(
    findings.map(({ rule, place, message }) => [rule, place, message]),
    [0x60, 0xffe].map((offset, i) => [
      'TP042',
      `made:0x${(2n ** 64n + BigInt(area.start + offset)).toString(16)}`,
      `${i === 0 ? 5 : 2} bytes of the memory of the module’s code belong to no section of it, and are not filled by 0x0`,
    ]),
  );
});

test('a module whose tables are torn is named with the reason and does not count as compared', () => {
  const why = 'made.ko: the table has 3 bytes';
  const empty = {
    sections: [],
    room: 0,
    missingRoom: 0,
    stray: [],
    passes: [],
    notes: [],
    pages: [],
    changing: [],
  };
  const [good] = replay().modules as [ReplayedModule];
  const bad: ReplayedModule = { ...empty, module: good.module, why, image: undefined };
  const compared = (good.sections[0] as (typeof good.sections)[number]).compared;
  const text = { compared, passes: [], notes: [] } as unknown as ReplayedText;
  const lines = memoryTextLines(memoryTextOf(text, [good, bad]), true);
  assert.deepEqual(lines.slice(-4), [
    '  text of 1 of 2 modules: 42 bytes, 20 differ from the files: all explained',
    '    relocation  15  2 sites',
    '    return       5  1 sites',
    '    outside of sections: 4,054 bytes, all filling',
  ]);
});

test('room may be filled by traps, and what a dump lacks of it is counted', () => {
  const held = new Uint8Array(0x2000).fill(0xcc);
  held[0x800] = 0x90;
  const memory = {
    read(address: number, into: Uint8Array) {
      if (address + into.length > 0x2000) return false;
      into.set(held.subarray(address, address + into.length));
      return true;
    },
  } as unknown as Memory;
  const room = roomOf([[0, 0x3000]], [[0x100, 0x200]], memory, 0);
  assert.deepEqual(
    [room.bytes, room.missing, room.stray.map(({ address, bytes }) => [address, hexOf(bytes)])],
    [0x2f00, 0x1000, [[0x800, '90']]],
  );
});
