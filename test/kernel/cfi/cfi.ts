// kCFI and FineIBT, which no distribution's kernel has: the kernel's own code patches what clang made, in a process, and the
// passes must make the same bytes of it.
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { readElf } from '../../../src/elf/read.ts';
import { Image } from '../../../src/image/image.ts';
import { cfi } from '../../../src/text/x86-64/cfi.ts';
import { endbrSeal } from '../../../src/text/x86-64/endbr.ts';
import { retpolines } from '../../../src/text/x86-64/retpolines.ts';
import { madeSubject } from '../../text/x86-64/made.ts';
import type { Report } from '../report.ts';
import { newestClang } from './clang.ts';
import { codeOfCfi, codeOfIbt, hasParanoid } from './extract.ts';
import { makeVictim } from './victim.ts';

const here = import.meta.dirname;
const arity = '-fsanitize-kcfi-arity';

/** What cfi= may be. */
const usual = ['auto', 'off', 'kcfi', 'kcfi,norand', 'fineibt', 'fineibt,norand'];
const late = [
  ...['kcfi,warn', 'fineibt,warn', 'fineibt,paranoid', 'fineibt,paranoid,norand', 'fineibt,bhi'],
  ...['fineibt,bhi,warn', 'fineibt,paranoid,bhi', 'fineibt,paranoid,bhi,warn'],
];
/** In the order of kernel.h; which of them a processor has, by number. */
const features = ['RETPOLINE', 'RETPOLINE_LFENCE', 'CALL_DEPTH', 'INDIRECT_THUNK_ITS'];
const processors = ['', '0', '01', '02', '03', '3', '4', '34'];
const seeds = [0xdead_beef, 0x0123_4567];
/** The process runs low; kernels and their pages of thunks lie in the last 2 GB. */
const slide = -0x8000_0000;

interface Printed {
  readonly name: string;
  readonly address: number;
  readonly hex: string;
}

/** Compiles the kernel's code with a victim; returns the program. */
function build(report: Report, directory: string, source: string): { program: string; isLate: boolean } {
  const read = (path: string) => readFileSync(join(source, 'arch/x86', path), 'utf8');
  const alternative = read('kernel/alternative.c');
  const isLate = hasParanoid(alternative);
  const clang = newestClang();
  const tells =
    spawnSync(clang, [arity, '-fsanitize=kcfi', '-xc', '-c', '/dev/null', '-o', '/dev/null']).status === 0;
  const victim = makeVictim(directory, clang, tells && isLate ? [arity] : []);
  writeFileSync(join(directory, 'part.c'), codeOfCfi(alternative));
  writeFileSync(join(directory, 'ibt.h'), codeOfIbt(read('include/asm/ibt.h')));
  const program = join(directory, 'patch');
  execFileSync('gcc', [
    ...['-O1', '-w', '-static', '-no-pie', '-fno-pie', '-fcf-protection=none', '-I', directory, '-I', here],
    ...(isLate ? ['-DHAS_PARANOID'] : []),
    ...['-o', program, join(here, 'main.c'), ...victim.files],
    ...[`-Wl,-T,${join(here, 'link.ld')}`, '-Wl,-z,noexecstack'],
  ]);
  report.say(
    `${clang}${tells && isLate ? ' with numbers of arguments' : ''}: ${victim.functions} functions, ${victim.branches} calls and jumps`,
  );
  return { program, isLate };
}

/** What a run of the program prints. */
function run(program: string, mode: string, seed: number, processor: string): Printed[] {
  const text = execFileSync(program, [mode, `${seed}`, processor], { encoding: 'utf8', maxBuffer: 1 << 26 });
  return text
    .trim()
    .split('\n')
    .map((line) => {
      const [name = '', address = '', hex = ''] = line.split(' ');
      return { name, address: Number.parseInt(address, 16), hex };
    });
}

/** The kernel's code over clang's in every mode, and the passes over the same. */
export function compareCfi(report: Report, directory: string, source: string): void {
  const own = join(directory, 'cfi');
  mkdirSync(own, { recursive: true });
  const { program, isLate } = build(report, own, source);
  const [version = 0, patchlevel = 0] = ['VERSION', 'PATCHLEVEL'].map((name) =>
    Number(new RegExp(`^${name} = (\\d+)$`, 'm').exec(readFileSync(join(source, 'Makefile'), 'utf8'))?.[1]),
  );
  const image = new Image(readElf(program, readFileSync(program)));
  for (const mode of isLate ? [...usual, ...late] : usual) {
    let [runs, changed, other] = [0, 0, 0];
    for (const processor of processors) {
      for (const seed of mode === 'off' || mode.includes('norand') ? [0] : seeds) {
        const printed = run(program, mode, seed, processor);
        const warned = printed.find(({ name }) => name === 'warned');
        if (warned?.address !== 0) report.expect(false, `cfi=${mode}: the kernel's code warned`);
        const memory = printed.flatMap(({ name, address, hex }) =>
          name === 'warned' ? [] : [[address + slide, hex] as const],
        );
        const has = Object.fromEntries(features.map((name, i) => [name, processor.includes(`${i}`)]));
        const subject = madeSubject(image, {
          ...{ version: [version, patchlevel], features: has, memory, slide },
        });
        for (const pass of [cfi, retpolines, endbrSeal])
          for (const { message } of pass.run(subject)?.notes ?? [])
            report.expect(false, `cfi=${mode}, features ${processor}: ${message}`);
        const text = printed.find(({ name }) => name === 'text') as Printed;
        const found = Buffer.from(text.hex, 'hex');
        const made = subject.texts.holding(text.address, found.length)?.at(text.address, found.length);
        const file = image.read(text.address, found.length);
        runs++;
        for (const [i, byte] of found.entries()) {
          if (byte !== file[i]) changed++;
          if (byte === made?.[i]) continue;
          if (other++ === 0)
            report.say(`cfi=${mode}, features ${processor}: ${image.describe(text.address + i)} differs`);
        }
      }
    }
    report.expect(
      other === 0 && changed > 0,
      `cfi=${mode}: ${runs} runs, ${changed} bytes changed, ${other} other`,
    );
  }
}
