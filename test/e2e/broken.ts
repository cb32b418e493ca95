// Images broken on purpose: copies with other bytes at some addresses.
import { readFileSync, writeFileSync } from 'node:fs';
import { fileOffset, fresh } from './programs.ts';

/** An address and what to write there; a text is in hexadecimal. */
export type Change = readonly [address: number, bytes: Buffer | string];

/** A copy with other bytes at some addresses. */
export function broken(image: string, changes: readonly Change[]): string {
  const contents = readFileSync(image);
  for (const [address, bytes] of changes) {
    contents.set(typeof bytes === 'string' ? Buffer.from(bytes, 'hex') : bytes, fileOffset(image, address));
  }
  const path = fresh('broken');
  writeFileSync(path, contents);
  return path;
}

export function s32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32LE(value);
  return bytes;
}

export function s64(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigInt64LE(BigInt(value));
  return bytes;
}

interface Jump {
  readonly code: number;
  readonly target: number;
  readonly key: number;
}

/** A jump entry that is to stand at an address; its key with flag bits. */
export function jumpEntry(entry: number, { code, target, key }: Jump): Change[] {
  return [
    [entry, s32(code - entry)],
    [entry + 4, s32(target - entry - 4)],
    [entry + 8, s64(key - entry - 8)],
  ];
}

/** A static call entry likewise. */
export function callEntry(entry: number, { site, key }: { site: number; key: number }): Change[] {
  return [
    [entry, s32(site - entry)],
    [entry + 4, s32(key - entry - 4)],
  ];
}
