// The committed sample objects, annotated and linked in memory, for tests that need only Node.
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { AnnotateOptions } from '../src/annotate/options.ts';
import { annotate } from '../src/annotate/passes.ts';
import { archOf } from '../src/arch/registry.ts';
import { readElf } from '../src/elf/read.ts';
import { Image } from '../src/image/image.ts';
import { linkObjects } from '../src/link/link.ts';
import { ObjectCode } from '../src/object/object-code.ts';

/** Everything that annotate finds by default. */
export const everything: AnnotateOptions = {
  staticCall: true,
  staticBranch: true,
  smpLocks: true,
  module: false,
};

/** The units of the sample program, which every set but a few holds. */
export const programUnits = ['branch', 'call', 'lock', 'local', 'local2', 'key-def', 'key-use', 'main'];

/** Path of `samples/objects/<set>/<name>.o`, or of `samples/<set>/<name>.o` for `demo` and `demo/aarch64`. */
export function samplePath(set: string, name: string): string {
  const folder = set.startsWith('demo') ? set : `objects/${set}`;
  return fileURLToPath(new URL(`../samples/${folder}/${name}.o`, import.meta.url));
}

/** A sample object's bytes, as the compiler made it. */
export function sampleBytes(set: string, name: string): Uint8Array {
  return Uint8Array.from(readFileSync(samplePath(set, name)));
}

/** A sample object after annotate. */
export function annotated(set: string, name: string, options: Partial<AnnotateOptions> = {}): Uint8Array {
  const bytes = sampleBytes(set, name);
  return annotate(`${name}.o`, bytes, { ...everything, ...options }).bytes ?? bytes;
}

/** An object as site finders see it. */
export function objectCode(bytes: Uint8Array): ObjectCode {
  const file = readElf('test.o', bytes);
  return new ObjectCode(file, archOf(file.header));
}

/** Bytes of an image of annotated samples, linked in memory. */
export function linkedBytes(set: string, names: readonly string[]): Uint8Array {
  return linkObjects(names.map((name) => readElf(`${name}.o`, annotated(set, name)))).bytes;
}

/** The image of bytes, in memory of its own. */
export function imageOf(bytes: Uint8Array): Image {
  return new Image(readElf('image', bytes.slice()));
}
