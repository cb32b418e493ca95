// A kernel is stopped in the middle of changing its text, again and again: verify finds nothing there, and counts the changes.
import { spawnSync } from 'node:child_process';
import { renameSync, rmSync } from 'node:fs';
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

/** What a kernel runs on every processor between the steps of a change (arch/x86/kernel/alternative.c). */
const synchronise = 'do_sync_core';
/** Three for each batch and processor, and two batches. */
const stops = 12;

function synchroniseOf(image: string): Promise<string> {
  return withImage(image, {}, ({ symbols }) => {
    const address = symbols.addressOf(synchronise);
    if (address === undefined) throw new Error(`${image} has no ${synchronise}`);
    return `0x${BigInt.asUintN(64, BigInt(address)).toString(16)}`;
  });
}

export async function verifyMoments(report: Report, directory: string, unpacked: Unpacked): Promise<void> {
  const { qemu, words, compiler } = machines.amd64;
  const init = compiledInit(directory, compiler);
  const { archive } = distroInitramfs(directory, init, undefined, [], () => {});
  const stub = join(directory, 'gdb');
  rmSync(stub, { force: true });
  const guest = new Guest(directory, [
    ...[...qemu, '-cpu', 'qemu64', '-smp', '2', '-m', '256', '-gdb', `unix:${stub},server=on,wait=off`],
    ...['-kernel', unpacked.image, '-initrd', archive, '-append', `${words} nokaslr`],
  ]);
  const dump = join(directory, 'dump-moment');
  let [changing, wrong] = [0, 0];
  try {
    await guest.line('at rest: booted');
    const at = await synchroniseOf(unpacked.image);
    await stopAt(
      stub,
      at,
      stops,
      () => guest.next(),
      async (time) => {
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
          text?: { kinds: { kind: string; others: number; sites: number }[] };
        };
        if (findings.length > 0)
          renameSync(dump, join(directory, `dump-moment-${unpacked.release}-${time + 1}`));
        const poke = text?.kinds.find(({ kind }) => kind === 'poke');
        if (poke) changing++;
        wrong += findings.length;
        report.say(
          `  stop ${time + 1}: ${poke?.sites ?? 0} places being changed, ${poke?.others ?? 0} bytes; ${findings.length} findings`,
        );
        for (const { rule, place, message } of findings.slice(0, 5))
          report.say(`    ${rule} ${place} ${message}`);
      },
    );
    report.expect(
      wrong === 0 && changing > stops / 3,
      `${unpacked.release}: ${stops} moments of changing text, ${changing} with a change under way, ${wrong} findings`,
    );
  } finally {
    await guest.end();
    for (const path of [archive, dump]) rmSync(path, { force: true });
  }
}
