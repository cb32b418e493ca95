// What a memory tells of a kernel's state, as a document that boot takes (docs/cpu.schema.json).
import { hex, hexBytes, parseAddress } from '../../../bytes/integer.ts';
import { parseJson } from '../../../bytes/json.ts';
import { readKey } from '../../../demand/keys.ts';
import { TextpokeError } from '../../../errors.ts';
import type { Image } from '../../../image/image.ts';
import { kernelBanner } from '../../../image/kernel.ts';
import { programOf } from '../../../kinds/registry.ts';
import { staticBranch } from '../../../kinds/static-branch/kind.ts';
import { MemoryImage } from '../../../memory/image.ts';
import type { RunningKernel } from '../../../memory/kernel/kernel.ts';
import type { GivenX86 } from '../given.ts';
import { givenFromMemory } from '../given-from-memory.ts';

/** What `textpoke dump --cpu-features` prints. */
export interface CpuDocument {
  readonly schema: 'textpoke.cpu/1';
  /** The banner of the kernel: numbers of features and addresses are those of one build. */
  readonly kernel: string;
  /** Words of boot_cpu_data.x86_capability, eight hexadecimal digits each. */
  readonly features: readonly string[];
  /** Variables that decide about text, as they are in memory where the kernel is not moved; two digits a byte. */
  readonly variables: Readonly<Record<string, string>>;
  /** Addresses of pages of thunks against ITS, less the distance that the kernel was moved. */
  readonly thunkPages: readonly string[];
  /** Static keys that are otherwise than in the file, by their addresses as linked: whether they are enabled. */
  readonly keys: Readonly<Record<string, boolean>>;
  /** Static calls that are otherwise than in the file: `NULL` or the address of a function as linked. */
  readonly calls: Readonly<Record<string, string>>;
}

/** A document that was read. */
export interface GivenDocument {
  readonly given: GivenX86;
  readonly keys: readonly (readonly [key: string, isEnabled: boolean])[];
  readonly calls: readonly (readonly [call: string, value: string])[];
}

/** Errors: `memory-unsupported` where the memory does not tell, `memory-malformed`, `table-malformed`. */
export function cpuDocument(image: Image, running: RunningKernel): CpuDocument {
  const given = givenFromMemory(image, running);
  if (typeof given === 'string') throw new TextpokeError('memory-unsupported', given);
  const { slide } = running.place;
  return {
    schema: 'textpoke.cpu/1',
    kernel: kernelBanner(image) ?? '',
    features: Array.from(given.features, (word) => word.toString(16).padStart(8, '0')),
    variables: Object.fromEntries(Array.from(given.variables, ([name, value]) => [name, hexBytes(value)])),
    thunkPages: given.thunkPages.map((page) => hex(page - slide)),
    ...keysAndCalls(image, new MemoryImage(image, running.place)),
  };
}

/** Keys in init data are gone, and of no use to anybody. */
function keysAndCalls(image: Image, memory: MemoryImage): Pick<CpuDocument, 'keys' | 'calls'> {
  const before = programOf(image);
  const isThere = (key: number) => memory.has(key, 8) && !isFreedData(image, key);
  const keys: Record<string, boolean> = {};
  for (const { key } of before.sites.of(staticBranch)) {
    if (!isThere(key)) continue;
    const [was, is] = [image, memory].map((of) => readKey(of, key).enabled !== 0);
    if (was !== is) keys[hex(key)] = is as boolean;
  }
  const calls: Record<string, string> = {};
  for (const { key, name } of before.calls.values()) {
    if (!isThere(key)) continue;
    const [was, is] = [functionOf(image, key), functionOf(memory, key)];
    if (was !== is) calls[name] = is === 0 ? 'NULL' : hex(is);
  }
  return { keys, calls };
}

function isFreedData(image: Image, key: number): boolean {
  const [start, end] = ['__init_begin', '__init_end'].map((name) => image.symbols.addressOf(name));
  return start !== undefined && end !== undefined && key >= start && key < end;
}

/** What the key of a call leads to, as linked; 0 for NULL. */
function functionOf(image: Image, key: number): number {
  const pointer = image.readPointer(key);
  return pointer.kind === 'address' ? (pointer.address as number) : 0;
}

/** More words, variables, pages, keys and calls than any kernel has. */
const most = { words: 64, pages: 4096, entries: 1 << 20, digits: 1 << 16 } as const;

/** Reads a document for the kernel of an image that runs `slide` bytes behind where it is linked. Error `config-malformed`. */
export function parseCpuDocument(path: string, text: string, image: Image, slide: number): GivenDocument {
  const refuse = (message: string): never => {
    throw new TextpokeError('config-malformed', message, { file: path });
  };
  let value: unknown;
  try {
    value = parseJson(text);
  } catch (error) {
    return refuse(`no JSON: ${(error as Error).message}`);
  }
  const isFields = (of: unknown): of is Readonly<Record<string, unknown>> =>
    typeof of === 'object' && of !== null && !Array.isArray(of);
  if (!isFields(value) || value.schema !== 'textpoke.cpu/1')
    return refuse(
      'the schema is not textpoke.cpu/1, which dump --cpu-features prints, nor is this /proc/cpuinfo',
    );
  const document = value;
  if (document.kernel !== kernelBanner(image))
    return refuse('the state is of another kernel: its banner is not that of the image');
  const list = (name: string, count: number, pattern: RegExp): string[] => {
    const found = document[name];
    const isRight =
      Array.isArray(found) &&
      found.length <= count &&
      found.every((one) => typeof one === 'string' && pattern.test(one));
    return isRight ? (found as string[]) : refuse(`${name} is no list of hexadecimal numbers`);
  };
  const entries = <T>(name: string, what: string, read: (of: unknown) => T | undefined): [string, T][] => {
    const found = document[name];
    if (!isFields(found) || Object.keys(found).length > most.entries) return refuse(`${name} is no object`);
    return Object.entries(found).map(([key, of]): [string, T] => {
      const one = read(of);
      return [key, one === undefined ? refuse(`${name}.${key} is not ${what}`) : one];
    });
  };
  const digits = /^([0-9a-f]{2})+$/i;
  const features = list('features', most.words, /^[0-9a-f]{8}$/i);
  const variables = entries('variables', 'a string of hexadecimal bytes', (of) =>
    typeof of === 'string' && of.length <= most.digits && digits.test(of)
      ? Uint8Array.from(Buffer.from(of, 'hex'))
      : undefined,
  );
  const pages = list('thunkPages', most.pages, /^0x[0-9a-f]{1,16}$/i);
  return {
    given: {
      features: Uint32Array.from(features, (word) => Number.parseInt(word, 16)),
      variables: new Map(variables),
      thunkPages: pages.map((page) => (parseAddress(page) ?? 0) + slide),
    },
    keys: entries('keys', 'true or false', (of) => (typeof of === 'boolean' ? of : undefined)),
    calls: entries('calls', 'NULL or an address', (of) =>
      typeof of === 'string' && /^(NULL|0x[0-9a-f]{1,16})$/.test(of) ? of : undefined,
    ),
  };
}
