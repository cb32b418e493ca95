// Holds the memory of running kernels against their tables: boots one to init.c, has QEMU dump its memory where
// init.c stands still, and lets `verify --memory` compare every site.
import { execFileSync, spawnSync } from 'node:child_process';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { replayBoot as boot } from '../../src/boot/passes.ts';
import type { BootStep } from '../../src/boot/steps.ts';
import { hex, sameBytes } from '../../src/bytes/integer.ts';
import { readKey } from '../../src/demand/keys.ts';
import { readElf } from '../../src/elf/read.ts';
import { Image } from '../../src/image/image.ts';
import { isFreed } from '../../src/image/kernel.ts';
import { lockPrefix } from '../../src/kinds/lock-prefix/kind.ts';
import { oneCpu } from '../../src/kinds/one-cpu/kind.ts';
import { staticBranch } from '../../src/kinds/static-branch/kind.ts';
import { staticCall } from '../../src/kinds/static-call/kind.ts';
import { locateImage } from '../../src/memory/locate.ts';
import { openSnapshot } from '../../src/memory/open.ts';
import { verifyMemory } from '../../src/verify/memory.ts';
import { builtProgram } from '../built.ts';
import type { Kernel } from './build.ts';
import { Guest } from './guest.ts';
import type { Report } from './report.ts';

const textpoke = builtProgram();

/**
 * How QEMU runs a kernel, and which dumps it can make: only x86 walks page tables. One thread for all CPUs, but on
 * ARM, where two CPUs that wait for each other in stop_machine would never take turns.
 */
const machines = {
  x86: {
    qemu: ['qemu-system-x86_64', '-accel', 'tcg,thread=single'],
    console: 'ttyS0',
    image: 'arch/x86/boot/bzImage',
    compiler: 'gcc',
    paging: true,
  },
  arm64: {
    qemu: ['qemu-system-aarch64', '-M', 'virt', '-cpu', 'cortex-a53', '-accel', 'tcg,thread=single'],
    console: 'ttyAMA0',
    image: 'arch/arm64/boot/Image',
    compiler: 'aarch64-linux-gnu-gcc',
    paging: false,
  },
  arm: {
    qemu: ['qemu-system-arm', '-M', 'virt', '-cpu', 'cortex-a15', '-accel', 'tcg,thread=multi'],
    console: 'ttyAMA0',
    image: 'arch/arm/boot/zImage',
    compiler: 'arm-linux-gnueabihf-gcc',
    paging: false,
  },
} as const;

const moments = ['booted', 'switched'];

/** Forms of dumps, as QMP's dump-guest-memory is asked for them. */
const forms = [
  { name: 'virtual', paging: true, format: 'elf' },
  { name: 'physical', paging: false, format: 'elf' },
  { name: 'kdump', paging: false, format: 'kdump-zlib' },
] as const;

interface Memory {
  readonly memory: { readonly format: string; readonly slide: string; readonly slideFrom: string };
  readonly tables: readonly {
    readonly name: string;
    readonly compared: number;
    readonly init: number;
    readonly missing: number;
    readonly mismatches: number;
  }[];
  readonly findings: readonly unknown[];
}

/** Boots the kernel built in `out` with that many CPUs and expects no mismatch in any dump of it. */
export async function compareMemory(
  report: Report,
  directory: string,
  out: string,
  arch: Kernel['arch'],
  cpus: number,
): Promise<void> {
  const machine = machines[arch];
  const archive = minimalInitramfs(directory, machine.compiler);
  const guest = new Guest(directory, [
    ...[...machine.qemu, '-smp', `${cpus}`, '-m', '256'],
    ...['-kernel', join(out, machine.image), '-initrd', archive, '-device', 'vmcoreinfo'],
    ...['-append', `console=${machine.console} panic=-1 rest`],
  ]);
  try {
    for (const moment of moments) {
      await guest.line(`at rest: ${moment}`);
      await guest.stopped(async (qmp) => {
        for (const { name, paging, format } of forms) {
          if (paging && !machine.paging) continue;
          const dump = join(directory, `${name}.dump`);
          rmSync(dump, { force: true });
          await qmp.run('dump-guest-memory', { protocol: `file:${dump}`, paging, format });
          const what = `${arch}, ${cpus} CPUs, ${moment}, ${name}`;
          reportOn(report, what, join(out, 'vmlinux'), dump);
          if (name === 'physical') replay(report, what, join(out, 'vmlinux'), dump);
        }
      });
      guest.next();
    }
  } finally {
    await guest.end();
  }
}

function reportOn(report: Report, what: string, vmlinux: string, dump: string): void {
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [textpoke, 'verify', vmlinux, '--memory', dump, '--format', 'json'],
    { encoding: 'utf8', maxBuffer: 1 << 28 },
  );
  if (stdout === '') {
    report.expect(false, `${what}: exit status ${status}, ${stderr.trim()}`);
    return;
  }
  const { tables, findings, memory } = JSON.parse(stdout) as Memory;
  const counts = tables.map(
    (t) =>
      `${t.name} ${t.compared} compared, ${t.init} init, ${t.missing} missing, ${t.mismatches} mismatches`,
  );
  report.say(`${what}: slide ${memory.slide} (${memory.slideFrom}); ${counts.join('; ')}`);
  report.expect(status === 0 && findings.length === 0, `${what}: ${findings.length} findings`);
}

/** The other way round: what keys and calls hold in the memory, given to boot, makes the bytes that it has. */
function replay(report: Report, what: string, vmlinux: string, dump: string): void {
  const bytes = readFileSync(vmlinux);
  const linked = new Image(readElf(vmlinux, bytes));
  const {
    image: running,
    keys,
    calls,
    cpus,
  } = verifyMemory(linked, locateImage(linked, openSnapshot(dump, linked, undefined), undefined), undefined);
  const steps: BootStep[] = [
    ...keys.flatMap(({ address, enabled }) => {
      const more = enabled - readKey(linked, address).enabled;
      const step = { do: more > 0 ? 'inc' : 'dec', key: hex(address) } as const;
      return Array.from({ length: Math.abs(more) }, () => step);
    }),
    ...calls.map(({ address, value, code }) => ({
      do: 'update' as const,
      call: hex(address),
      value: code === undefined ? value : hex(code),
    })),
  ];
  const image = new Image(readElf(vmlinux, Uint8Array.from(bytes)));
  const booted = boot(image, { cpus: cpus === 'one' ? 1 : 2, upFill: 'ds', steps });
  const { sites: listed } = booted.program;
  const call = image.arch.lockPrefix ? 5 : 4;
  const sites = [
    ...listed.of(staticBranch).map(({ address }) => ({ address, size: image.instructionAt(address).size })),
    ...listed.of(staticCall).map(({ address }) => ({ address, size: call })),
    ...listed.of(lockPrefix).map(({ address }) => ({ address, size: 1 })),
    ...listed.of(oneCpu).map(({ address, replacement }) => ({ address, size: replacement.length })),
  ].filter(({ address }) => !isFreed(linked, address));
  const other = sites.filter(
    ({ address, size }) => !sameBytes(image.read(address, size), running.read(address, size)),
  );
  for (const { address } of other) report.say(`differs: ${image.describe(address)}`);
  const enabled = keys.filter((key) => key.enabled > 0).length;
  report.expect(
    other.length === 0,
    `${what}: boot with ${keys.length} keys (${enabled} enabled) and ${calls.length} calls as in memory makes all but ${other.length} of ${sites.length} sites the same`,
  );
}

/** An initial file system with init.c alone; the modules that it loads elsewhere lie outside of the image. */
function minimalInitramfs(directory: string, compiler: string): string {
  const init = join(directory, 'init');
  const source = join(import.meta.dirname, 'init.c');
  execFileSync(compiler, ['-static', '-O2', source, '-o', init]);
  const archive = join(directory, 'memory.gz');
  writeFileSync(
    archive,
    execFileSync('sh', ['-c', 'echo init | cpio -o -H newc --quiet | gzip'], { cwd: directory }),
  );
  return archive;
}
