// A kernel is stopped in the middle of changing its text, again and again: verify finds nothing there, and counts the changes.
import { spawnSync } from 'node:child_process';
import { renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { withImage } from '../../../src/library/image.ts';
import { builtProgram } from '../../built.ts';
import { Guest } from '../guest.ts';
import type { Report } from '../report.ts';
import type { Unpacked } from './apt.ts';
import { compiledInit } from './combination.ts';
import { stopAt } from './gdb.ts';
import { distroInitramfs } from './initramfs.ts';
import { machines } from './kernels.ts';

/** Where a machine's kernel stops, and how often while init does one thing. */
interface Moments {
  /** A function that runs in the middle of changes. */
  readonly at: string;
  readonly cpu: string;
  /** What init does, by what it says when it has done it. */
  readonly phases: readonly { readonly done: string; readonly stops: number; readonly every: number }[];
}

const moments: Readonly<Record<'amd64' | 'arm64', Moments>> = {
  amd64: {
    // What a kernel runs on every processor between the steps of a change (arch/x86/kernel/alternative.c): three times for each
    // batch and processor.
    at: 'do_sync_core',
    cpu: 'qemu64',
    phases: [{ done: 'switched', stops: 12, every: 1 }],
  },
  arm64: {
    // What writes a place (arch/arm64/kernel/patching.c): places of the same key or tracer are written behind each other.
    at: 'aarch64_insn_patch_text_nosync',
    cpu: 'cortex-a72',
    phases: [
      { done: 'switched', stops: 12, every: 7 },
      { done: 'traced', stops: 8, every: 11 },
      { done: 'untraced', stops: 8, every: 11 },
    ],
  },
};

function addressIn(image: string, name: string): Promise<string> {
  return withImage(image, {}, ({ symbols }) => {
    const address = symbols.addressOf(name);
    if (address === undefined) throw new Error(`${image} has no ${name}`);
    return `0x${BigInt.asUintN(64, BigInt(address)).toString(16)}`;
  });
}

export async function verifyMoments(
  report: Report,
  directory: string,
  unpacked: Unpacked,
  arch: 'amd64' | 'arm64' = 'amd64',
): Promise<void> {
  const { qemu, words, compiler } = machines[arch];
  const { at: name, cpu, phases } = moments[arch];
  const stops = phases.reduce((sum, phase) => sum + phase.stops, 0);
  const init = compiledInit(directory, compiler);
  const { archive } = distroInitramfs(directory, init, undefined, [], (root) => {
    if (phases.length > 1) for (const file of ['trace', 'untrace']) writeFileSync(join(root, file), '');
  });
  const stub = join(directory, 'gdb');
  rmSync(stub, { force: true });
  const guest = new Guest(directory, [
    ...[...qemu, '-cpu', cpu, '-smp', '2', '-m', '256', '-gdb', `unix:${stub},server=on,wait=off`],
    ...['-kernel', unpacked.image, '-initrd', archive, '-append', `${words} nokaslr`],
  ]);
  const dump = join(directory, 'dump-moment');
  let [changing, wrong] = [0, 0];
  try {
    await guest.line('at rest: booted');
    const at = await addressIn(unpacked.image, name);
    for (const { done, stops: times, every } of phases) {
      const look = async (time: number) => {
        await guest.stopped(async (qmp) => {
          rmSync(dump, { force: true });
          await qmp.run('dump-guest-memory', { protocol: `file:${dump}`, paging: false });
        }, false);
        const { stdout, stderr } = spawnSync(
          process.execPath,
          [builtProgram(), 'verify', unpacked.image, '--memory', dump, '--format', 'json'],
          { encoding: 'utf8', maxBuffer: 1 << 28 },
        );
        const { findings, text } = JSON.parse(stdout || `{"findings":["${stderr.trim()}"]}`) as {
          findings: { rule: string; place: string; message: string }[];
          text?: {
            kinds: { kind: string; others: number; sites: number }[];
            left: { what: string }[];
          };
        };
        if (findings.length > 0)
          renameSync(dump, join(directory, `dump-moment-${unpacked.release}-${done}-${time + 1}`));
        const poke = text?.kinds.find(({ kind }) => kind === 'poke');
        // What stood there before may be what the file has.
        const isTold = text?.left.some(({ what }) => what.includes('when the memory was read'));
        if (poke || isTold) changing++;
        wrong += findings.length;
        report.say(
          `  ${done} ${time + 1}: ${poke || isTold ? 'a change under way' : 'no change'}, ${poke?.others ?? 0} bytes; ${findings.length} findings`,
        );
        for (const { rule, place, message } of findings.slice(0, 5))
          report.say(`    ${rule} ${place} ${message}`);
      };
      await stopAt(stub, at, times, () => guest.next(), look, every);
      await guest.line(`at rest: ${done}`);
    }
    report.expect(
      wrong === 0 && changing > stops / 3,
      `${unpacked.release}: ${stops} moments of changing text, ${changing} with a change under way, ${wrong} findings`,
    );
  } finally {
    await guest.end();
    for (const path of [archive, dump]) rmSync(path, { force: true });
  }
}
