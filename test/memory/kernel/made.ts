// A kernel in bytes, with a module: what its loader and its start-up leave in memory, in the form of a version.
import { addModuleBranches } from '../../../src/boot/jump-label.ts';
import { replayBoot } from '../../../src/boot/passes.ts';
import type { Module } from '../../../src/boot/runtime.ts';
import { addModuleCalls } from '../../../src/boot/static-call.ts';
import type { BootStep } from '../../../src/boot/steps.ts';
import { SiteLists } from '../../../src/demand/sites.ts';
import { SHF_ALLOC } from '../../../src/elf/constants.ts';
import type { ElfFile } from '../../../src/elf/file.ts';
import { readElf } from '../../../src/elf/read.ts';
import { rewriteObject } from '../../../src/elf/rewrite.ts';
import { exported } from '../../../src/image/exports.ts';
import { Image } from '../../../src/image/image.ts';
import { readStaticCalls } from '../../../src/image/static-calls.ts';
import { kinds } from '../../../src/kinds/registry.ts';
import { staticBranch } from '../../../src/kinds/static-branch/kind.ts';
import { staticCall } from '../../../src/kinds/static-call/kind.ts';
import { withKeys } from '../../../src/kinds/static-call/module-sites.ts';
import { linkLoaded, linkObjects } from '../../../src/link/link.ts';
import { makeObject, noChange } from '../../elf/objects.ts';
import { annotated, programUnits } from '../../samples.ts';
import { banner, core, movePointers, note, type Page, pageSize } from '../dumps.ts';
import { makeBtf } from './btf.ts';

/** How kernels keep modules: until 6.3, until 6.13, since then. */
export type Form = '6.1' | '6.6' | '6.14';

export const slide = 0x600000;
export const buildId = '00112233445566778899aabbccddeeff00112233';
const users = programUnits.filter((unit) => unit !== 'key-use');
/** Where the loader puts modules and what the kernel allocates, in the running kernel. */
const moduleBase = 0x40000000;
const heapBase = 0x50000000;

/** Offsets in the structures of the made kernel. */
const module = {
  state: 0,
  list: 8,
  name: 24,
  memory: 80,
  sections: 200,
  jumpTable: 208,
  jumpCount: 216,
  callCount: 220,
  callSites: 224,
  size: 256,
} as const;

function btfOf(form: Form): Uint8Array {
  const areas =
    form === '6.1'
      ? [['core_layout', 'module_layout', module.memory] as const]
      : [['mem', 'module_memory[7]', module.memory] as const];
  const attributes =
    form === '6.14'
      ? {
          module_sect_attrs: {
            size: 16,
            members: [
              ['grp', 'attribute_group', 0],
              ['attrs', 'bin_attribute[0]', 16],
            ],
          },
        }
      : {
          module_sect_attrs: {
            size: 24,
            members: [
              ['grp', 'attribute_group', 0],
              ['nsections', 'int', 16],
              ['attrs', 'module_sect_attr[0]', 24],
            ],
          },
          module_sect_attr: {
            size: 40,
            members: [
              ['battr', 'bin_attribute', 0],
              ['address', 'long', 32],
            ],
          },
        };
  return makeBtf({
    enums: {
      mod_mem_type: { MOD_TEXT: 0, MOD_DATA: 1, MOD_RODATA: 2, MOD_RO_AFTER_INIT: 3, MOD_INIT_TEXT: 4 },
    },
    structs: {
      list_head: {
        size: 16,
        members: [
          ['next', 'ptr', 0],
          ['prev', 'ptr', 8],
        ],
      },
      module_layout: {
        size: 16,
        members: [
          ['base', 'ptr', 0],
          ['size', 'int', 8],
        ],
      },
      module_memory: {
        size: 16,
        members: [
          ['base', 'ptr', 0],
          ['size', 'int', 8],
        ],
      },
      attribute: { size: 8, members: [['name', 'ptr', 0]] },
      attribute_group: {
        size: 16,
        members: [
          ['name', 'ptr', 0],
          [form === '6.14' ? 'bin_attrs_new' : 'bin_attrs', 'ptr', 8],
        ],
      },
      bin_attribute: {
        size: 24,
        members: [
          ['attr', 'attribute', 0],
          ['size', 'long', 8],
          ['private', 'ptr', 16],
        ],
      },
      ...(attributes as object),
      static_key_mod: {
        size: 24,
        members: [
          ['next', 'ptr', 0],
          ['entries', 'ptr', 8],
          ['mod', 'ptr', 16],
        ],
      },
      static_call_mod: {
        size: 24,
        members: [
          ['next', 'ptr', 0],
          ['mod', 'ptr', 8],
          ['sites', 'ptr', 16],
        ],
      },
      module: {
        size: module.size,
        members: [
          ['state', 'int', module.state],
          ['list', 'list_head', module.list],
          ['name', 'char[56]', module.name],
          ...areas,
          ['sect_attrs', 'ptr', module.sections],
          ['jump_entries', 'ptr', module.jumpTable],
          ['num_jump_entries', 'int', module.jumpCount],
          ['num_static_call_sites', 'int', module.callCount],
          ['static_call_sites', 'ptr', module.callSites],
        ],
      },
    },
  });
}

/** The kernel's file: the sample program with a banner, BTF and the head of the list of modules. */
export function kernelFile(form: Form): Uint8Array {
  const units = users.map((name) => readElf(`${name}.o`, annotated('gcc-O2', name)));
  const text = Buffer.from(`${banner}\n\0`);
  const made = makeObject({
    sections: [
      { name: '.rodata', type: 1, flags: 2, data: text, addralign: 4 },
      { name: '.BTF', type: 1, flags: 2, data: btfOf(form), addralign: 4 },
      { name: '.data', type: 1, flags: 3, data: new Uint8Array(16), addralign: 8 },
      { name: '.static_call_tramp_key', type: 1, flags: 2, data: new Uint8Array(8), addralign: 4 },
    ],
    symbols: [
      { name: 'linux_banner', section: 1, size: text.length, info: 0x11 },
      { name: 'modules', section: 3, size: 16, info: 0x11 },
    ],
  });
  const { bytes } = linkObjects([...units, readElf('kernel.o', made)]);
  // The module is given the trampoline of this call alone.
  const image = new Image(readElf('vmlinux', bytes));
  const addressOf = (name: string) => image.symbols.addressOf(name) as number;
  const pair = addressOf('__start_static_call_tramp_key');
  const at = image.fileOffset(pair, 8) as number;
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  view.setInt32(at, addressOf('__SCT__shared_call') - pair, true);
  view.setInt32(at + 4, addressOf('__SCK__shared_call') - (pair + 4), true);
  return bytes;
}

/** The module's file; null: without a build id. */
export function moduleFile(id: string | null = buildId): Uint8Array {
  const bytes = annotated('gcc-O2', 'key-use', { module: true });
  if (id === null) return bytes;
  return rewriteObject(readElf('key-use.ko', bytes), {
    ...noChange,
    sections: [
      {
        name: '.note.gnu.build-id',
        type: 7,
        flags: SHF_ALLOC,
        data: note('GNU', 3, Buffer.from(id, 'hex')),
        addralign: 4,
        entsize: 0,
        relocations: [],
      },
    ],
  });
}

/** Memory that is written word by word, page by page. */
class Pages {
  private readonly pages = new Map<number, Uint8Array>();

  write(at: number, bytes: Uint8Array): void {
    for (const [i, byte] of bytes.entries()) {
      const page = Math.floor((at + i) / pageSize);
      let of = this.pages.get(page);
      if (!of) {
        of = new Uint8Array(pageSize);
        this.pages.set(page, of);
      }
      of[at + i - page * pageSize] = byte;
    }
  }
  word(at: number, value: number, size: 4 | 8 = 8): void {
    const view = new DataView(new ArrayBuffer(8));
    view.setBigInt64(0, BigInt(value), true);
    this.write(at, new Uint8Array(view.buffer).subarray(0, size));
  }
  text(at: number, text: string): void {
    this.write(at, Buffer.from(`${text}\0`, 'latin1'));
  }
  get list(): Page[] {
    return [...this.pages].map(([number, bytes]) => ({ virtual: number * pageSize, physical: 0, bytes }));
  }
}

/** Addresses in the running kernel that tests change. */
export interface Made {
  readonly kernel: Uint8Array;
  readonly module: Uint8Array;
  readonly pages: Pages;
  /** The file of the dump. */
  readonly dump: () => Uint8Array;
  /** `struct module`, the head of their list, and the list's member. */
  readonly at: number;
  readonly head: number;
  readonly link: number;
  readonly fields: typeof module;
  /** Attributes of the sections: the first, and the size of each; where an address stands in it. */
  readonly attributes: number;
  readonly attributeSize: number;
  readonly attributeAddress: number;
  /** Elements of the lists of keys that the module has sites of, in the order of `keys`. */
  readonly elements: ReadonlyMap<
    number,
    { readonly key: number; readonly owner: number; readonly module: number }
  >;
  readonly jumpTable: number;
  readonly callSites: number;
  /** As linked. */
  readonly image: Image;
  readonly guest: Image;
}

/** Makes a running kernel with one module, key_use. */
export function makeKernel(
  form: Form,
  { steps = [], id = buildId }: { steps?: readonly BootStep[]; id?: string | null } = {},
): Made {
  const kernel = kernelFile(form);
  const bytes = moduleFile(id);
  const file = readElf('key_use.ko', bytes);
  const image = new Image(readElf('vmlinux', kernel.slice()));
  const runtime = replayBoot(image, { cpus: 2, raw: true, steps });
  const { places, end } = layOut(file);
  const { bytes: linked } = linkLoaded(file, {
    filled: 'all',
    places: ({ index, name }) => {
      const address = places.get(index);
      return address === undefined
        ? undefined
        : { address: address - slide, state: name.startsWith('.init') ? 'gone' : 'here' };
    },
    external: (name) => exported(image, name),
  });
  const guest = new Image(readElf('key_use', linked));
  runtime.image.map({ name: 'key_use', image: guest });
  const lists = new SiteLists(
    new Map(kinds.filter((kind) => kind.isInModules).map((kind) => [kind.id, kind.read(guest)])),
  );
  const read: Module = {
    name: 'key_use',
    image: guest,
    calls: readStaticCalls(guest),
    sites: lists.with(staticCall, withKeys(image, lists.of(staticCall))),
    imports: new Set(),
    uses: new Set(),
  };
  const branches = addModuleBranches(runtime, read);
  const calls = addModuleCalls(runtime, read);
  movePointers(image, runtime.program, slide);
  const pages = new Pages();
  for (const of of [image, guest]) {
    for (const { vaddr, memsz, type } of of.file.segments)
      if (type === 1) pages.write(vaddr + slide, of.read(vaddr, memsz));
  }
  const head = (image.symbols.addressOf('modules') as number) + slide;
  const at = heapBase;
  const link = at + module.list;
  for (const [place, value] of [
    [head, link],
    [head + 8, link],
    [link, head],
    [link + 8, head],
  ] as const)
    pages.word(place, value);
  pages.text(at + module.name, 'key_use');
  pages.word(at + module.state, 0, 4);
  pages.word(at + module.memory, moduleBase);
  pages.word(at + module.memory + 8, end - moduleBase, 4);
  const tableAt = (name: string) =>
    (guest.file.sections.find((s) => s.name === name)?.addr ?? -slide) + slide;
  const [jumpTable, callSites] = [tableAt('__jump_table'), tableAt('.static_call_sites')];
  pages.word(at + module.jumpTable, jumpTable);
  pages.word(at + module.jumpCount, branches.length, 4);
  pages.word(at + module.callSites, callSites);
  pages.word(at + module.callCount, calls.length, 4);
  const attributes = writeSections(pages, form, file, places, at);
  const elements = new Map<number, { key: number; owner: number; module: number }>();
  let free = heapBase + 0x8000;
  const element = (next: number, entries: number, mod: number, isCall: boolean) => {
    const place = free;
    free += 24;
    for (const [i, value] of (isCall ? [next, mod, entries] : [next, entries, mod]).entries())
      pages.word(place + i * 8, value);
    return place;
  };
  for (const kind of [staticBranch, staticCall] as const) {
    const isCall = kind === staticCall;
    const first = new Map<number, number>();
    for (const { key, entry } of (isCall ? calls : branches) as readonly {
      key: number;
      entry: { address: number };
    }[])
      if (!first.has(key)) first.set(key, entry.address + slide);
    for (const [key, entries] of first) {
      const word = key + slide + 8;
      if (guest.segmentAt(key)) {
        if (isCall) pages.word(word, element(0, entries, at, true));
        else pages.word(word, entries + (guest.readS32(key + 8) & 1));
        continue;
      }
      const flags = ((image.readWord(key + 8) % 4) + 4) % 4;
      const owned = image.readWord(key + 8) - flags;
      // A call without a site in the kernel gets no element for it.
      const owner = isCall && owned === 0 ? 0 : element(0, owned, 0, isCall);
      const own = element(owner, entries, at, isCall);
      pages.word(word, own + (isCall ? 0 : (flags & 1) | 2));
      elements.set(key, { key, owner, module: own });
    }
  }
  return {
    kernel,
    module: bytes,
    pages,
    dump: () => core(pages.list, { addresses: ['virtual'] }),
    at,
    head,
    link,
    fields: module,
    ...attributes,
    elements,
    jumpTable,
    callSites,
    image,
    guest,
  };
}

/** Addresses of the sections that a loader keeps, by number: one behind the other, each on a page of its own. */
function layOut(file: ElfFile): { places: Map<number, number>; end: number } {
  const places = new Map<number, number>();
  let at = moduleBase;
  for (const { index, flags, size } of file.sections) {
    if ((flags & SHF_ALLOC) === 0 || size === 0) continue;
    places.set(index, at);
    at += Math.ceil(size / pageSize) * pageSize;
  }
  return { places, end: at };
}

function writeSections(
  pages: Pages,
  form: Form,
  file: ElfFile,
  places: ReadonlyMap<number, number>,
  at: number,
): { attributes: number; attributeSize: number; attributeAddress: number } {
  const group = heapBase + 0x2000;
  const names = heapBase + 0x4000;
  const pointers = heapBase + 0x6000;
  const isNew = form === '6.14';
  const [attributes, attributeSize, attributeAddress] = isNew ? [group + 16, 24, 16] : [group + 24, 40, 32];
  pages.word(at + module.sections, group);
  pages.word(group + 8, pointers);
  if (!isNew) pages.word(group + 16, places.size, 4);
  [...places].forEach(([index, address], i) => {
    const of = attributes + i * attributeSize;
    pages.text(names + i * 64, file.sections[index]?.name ?? '');
    pages.word(of, names + i * 64);
    pages.word(of + attributeAddress, address);
    pages.word(pointers + i * 8, of);
  });
  return { attributes, attributeSize, attributeAddress };
}
