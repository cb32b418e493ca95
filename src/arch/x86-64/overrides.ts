// Segment overrides beside a lock prefix. In 64-bit mode a CPU ignores all but FS and GS, so DS may stand for a lock. But
// qemu-user lets the last override win, and valgrind refuses two of them: where there is one, the same again stands for
// the lock.
import type { SegmentOverride } from '../arch.ts';
import type { CodeMap } from '../code-map.ts';
import { PREFIXES } from './opcodes.ts';
import { instructionAround } from './sweep.ts';

const DS = 0x3e;
const overrides: ReadonlyMap<number, SegmentOverride> = new Map([
  [0x26, { byte: 0x26, name: 'es' }],
  [0x2e, { byte: 0x2e, name: 'cs' }],
  [0x36, { byte: 0x36, name: 'ss' }],
  [DS, { byte: DS, name: 'ds' }],
  [0x64, { byte: 0x64, name: 'fs' }],
  [0x65, { byte: 0x65, name: 'gs' }],
]);

const isEffective = (override: SegmentOverride | undefined): boolean =>
  override !== undefined && override.byte >= 0x64;

/** As `LockPrefix.overrideAt`: of the prefixes around byte `offset` the last FS or GS override, else the last of any. */
export function overrideAt(code: Uint8Array, map: CodeMap, offset: number): SegmentOverride | undefined {
  let found: SegmentOverride | undefined;
  const look = (byte: number) => {
    const override = overrides.get(byte);
    if (override && (isEffective(override) || !isEffective(found))) found = override;
  };
  for (let at = instructionAround(code, map, offset); at < offset; at++) {
    if (!PREFIXES.has(code[at] as number)) return undefined;
    look(code[at] as number);
  }
  for (let at = offset + 1; PREFIXES.has(code[at] as number); at++) look(code[at] as number);
  return found;
}

/** As `LockPrefix.isBehindOverride`. DS is left out: it stands for a lock anyway. */
export function isBehindOverride(code: Uint8Array, offset: number): boolean {
  let at = offset - 1;
  while (at > 0 && otherPrefixes.has(code[at] as number)) at--;
  return code[at] !== DS && overrides.has(code[at] as number);
}

/** 66, 67, repne and rep: an assembler may put them between an override and the lock. */
const otherPrefixes = new Set([0x66, 0x67, 0xf2, 0xf3]);
