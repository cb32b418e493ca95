// Programs without line tables and their debug files, made for tests.
import { crc32 } from '../../src/bytes/crc32.ts';
import { makeObject } from '../elf/objects.ts';
import { program, type Shape, table } from './tables.ts';

/** The note of a build id. */
export function note(id: readonly number[], name = 'GNU\0', type = 3): Uint8Array {
  const head = new Uint32Array([name.length, id.length, type]);
  return Buffer.concat([Buffer.from(head.buffer), Buffer.from(name), Buffer.from(id)]);
}

/** .gnu_debuglink for a file of these bytes. */
export function link(name: string, target: Uint8Array, wrong = 0): Uint8Array {
  const padded = Buffer.alloc((name.length + 4) & ~3);
  padded.write(name, 'latin1');
  const crc = Buffer.alloc(4);
  crc.writeUInt32LE((crc32(target) ^ wrong) >>> 0);
  return Buffer.concat([padded, crc]);
}

export const id = [0xab, 0xcd, 0xef, 1, 2, 3];
export const byId = '.build-id/ab/cdef010203.debug';
export const shape: Shape = { version: 4, little: true, wide: false, addressSize: 8 };
/** `dir/a.c:2` from 0x1000 on. */
export const lines = table(shape, program(shape, 0x1000, [13 + 6, 2, 16]));

export interface Parts {
  readonly id?: readonly number[] | undefined;
  readonly link?: Uint8Array | undefined;
  readonly lines?: Uint8Array | undefined;
  readonly addr?: number;
  readonly size?: number;
  readonly type?: number;
}

/** An image with 16 bytes of code at 0x1000, and what it is to have besides. */
export function imageWith({ id, link, lines, addr = 0x1000, size = 16, type = 2 }: Parts): Uint8Array {
  return makeObject({
    type,
    sections: [
      { name: '.text', type: 1, flags: 6, addr, data: new Uint8Array(size), addralign: 4 },
      ...(id ? [{ name: '.note.gnu.build-id', type: 7, flags: 2, data: note(id), addralign: 4 }] : []),
      ...(link ? [{ name: '.gnu_debuglink', type: 1, data: link }] : []),
      ...(lines ? [{ name: '.debug_line', type: 1, data: lines }] : []),
    ],
  });
}

export const debugFile = imageWith({ id, lines });
export const withoutId = imageWith({ lines });
