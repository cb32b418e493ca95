// Which lock prefixes annotate and verify take for code, against the truth: every lock that `objdump -d` shows within a
// function that symbols or unwind tables cover. Archives and objects are annotated, images are judged as verify does, with
// their symbols and without them. npx tsx bench/lock-truth.ts FILE...
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { annotate } from '../src/annotate/passes.ts';
import { archOf } from '../src/arch/registry.ts';
import { isArchive, readArchive } from '../src/elf/archive.ts';
import { ET_REL } from '../src/elf/constants.ts';
import { isElf } from '../src/elf/magic.ts';
import { readElf } from '../src/elf/read.ts';
import { Image } from '../src/image/image.ts';
import { provableRange } from '../src/image/provable.ts';
import { smpLocks } from '../src/kinds/lock-prefix/table.ts';
import { ObjectCode } from '../src/object/object-code.ts';
import { readObjectTable } from '../src/object/tables.ts';

/** Places as text: `member section+offset` in objects, an address in images. */
type Places = Set<string>;

/** Instructions that may have a lock (Intel SDM, LOCK), with a memory operand as the last one. */
const lockable =
  /\block (?:[a-z0-9.]+ )*(?:add|adc|and|bt[crs]|cmpxchg(?:8b|16b)?|dec|inc|neg|not|or|sbb|sub|xadd|xchg|xor)[bwlq]?\s.*(?:\)|:0x[0-9a-f]+|[ ,]0x[0-9a-f]+)(?:\s*#.*|\s*<.*)?$/;

/** The locks that objdump shows. */
function shownLocks(file: string): Places {
  const places: Places = new Set();
  const text = execFileSync(
    'sh',
    ['-c', `objdump -d -w "$1" | grep -E '[[:space:]]lock |file format|^Disassembly'`, 'sh', file],
    { encoding: 'utf8', maxBuffer: 2 ** 29 },
  );
  let [member, section] = ['', ''];
  for (const line of text.split('\n')) {
    if (line.includes(':     file format ')) member = line.slice(0, line.indexOf(':     '));
    else if (line.startsWith('Disassembly of section ')) section = line.slice(23, -1);
    else if (line.includes('lock ')) {
      const [, address, bytes, words] = /^ *([0-9a-f]+):\t((?:[0-9a-f]{2} )+) *\t(.*)$/.exec(line) ?? [];
      if (address === undefined || bytes === undefined || !/\block /.test(words ?? '')) continue;
      if (!lockable.test(words as string)) continue;
      const at = Number.parseInt(address, 16) + bytes.split(' ').indexOf('f0');
      places.add(member && member !== file ? `${member} ${section}+${at}` : `${section}+${at}`);
    }
  }
  return places;
}

function annotatedLocks(name: string, bytes: Uint8Array): { listed: Places; unproven: number } {
  const listed: Places = new Set();
  let unproven = 0;
  const one = (prefix: string, content: Uint8Array) => {
    const { bytes: result, stats } = annotate(name, content, { smpLocks: true });
    for (const { unprovenLocks } of stats) unproven += unprovenLocks;
    const file = readElf(name, result ?? content);
    if (!file.symtab) return;
    const object = new ObjectCode(file, archOf(file.header));
    for (const { fields } of readObjectTable(object, smpLocks)) {
      const [place] = fields;
      if (place) listed.add(`${prefix}${file.sections[place.section]?.name}+${place.offset}`);
    }
  };
  if (!isArchive(bytes)) one('', bytes);
  else {
    for (const { name: member, special, offset, size } of readArchive(bytes)) {
      const content = bytes.subarray(offset, offset + size);
      if (!special && isElf(content)) one(`${member} `, content);
    }
  }
  return { listed, unproven };
}

/** The locks of an image that verify would want to be listed. */
function provenLocks(file: string, bytes: Uint8Array): { listed: Places; unproven: number } {
  const image = new Image(readElf(file, bytes));
  const prefix = image.arch.lockPrefix;
  const listed: Places = new Set();
  let unproven = 0;
  for (const range of prefix ? image.code : []) {
    const locks = (prefix as NonNullable<typeof prefix>).find(range.code, image.codeMap(range));
    const provable = provableRange(image, range, range.code, []);
    const proven = (prefix as NonNullable<typeof prefix>).prove(provable, locks);
    for (const [i, at] of locks.entries()) {
      if (proven[i] === 1) listed.add(`${range.name}+${range.address + at}`);
      else unproven++;
    }
  }
  return { listed, unproven };
}

console.log('file                            objdump  listed  false  missed  unproven   time');
for (const file of process.argv.slice(2)) {
  const bytes = new Uint8Array(readFileSync(file));
  const isObject = isArchive(bytes) || readElf(file, bytes).header.type === ET_REL;
  const shown = shownLocks(file);
  const start = performance.now();
  const { listed, unproven } = isObject ? annotatedLocks(file, bytes) : provenLocks(file, bytes);
  const time = performance.now() - start;
  const wrong = [...listed].filter((place) => !shown.has(place));
  const missed = [...shown].filter((place) => !listed.has(place));
  const cells = [shown.size, listed.size, wrong.length, missed.length, unproven].map((n) =>
    String(n).padStart(7),
  );
  console.log(`${basename(file).padEnd(32)}${cells.join(' ')}  ${(time / 1000).toFixed(1)} s`);
  if (process.env.TEXTPOKE_SHOW)
    for (const place of [...wrong.map((p) => `false ${p}`), ...missed.map((p) => `missed ${p}`)].slice(0, 20))
      console.log(`  ${place}`);
}
