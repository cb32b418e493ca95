// verify --running inside of a guest: Node, textpoke and the kernel's file lie in its initial file system. It finds
// nothing; then a site is changed from outside, and it finds that.
import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { builtProgram } from '../../built.ts';
import { Guest } from '../guest.ts';
import type { Report } from '../report.ts';
import type { Unpacked } from './apt.ts';
import { compiledInit } from './combination.ts';
import { changeMemory } from './gdb.ts';
import { distroInitramfs } from './initramfs.ts';
import { machines, wantedModules } from './kernels.ts';

/** Node and what it is linked with at the same paths, textpoke in /textpoke, the kernel in /boot and /lib/modules. */
function putNode(root: string, { release, image }: Unpacked): void {
  const put = (path: string, to = path) => {
    mkdirSync(dirname(join(root, to)), { recursive: true });
    cpSync(path, join(root, to), { dereference: true });
  };
  put(process.execPath, '/bin/node');
  const linked = execFileSync('ldd', [process.execPath], { encoding: 'utf8' });
  for (const [, path] of linked.matchAll(/(\/\S+) \(0x/g)) put(path as string);
  const program = builtProgram();
  const textpoke = dirname(dirname(program));
  const bundle = join('dist', 'textpoke.cjs');
  for (const name of [relative(textpoke, program), join('bin', 'package.json'), bundle, `${bundle}.cache`])
    put(join(textpoke, name), `/textpoke/${name}`);
  put(image, `/boot/vmlinuz-${release}`);
  const modules = `/lib/modules/${release}`;
  mkdirSync(join(root, modules), { recursive: true });
  execFileSync('sh', ['-c', `cp *.ko .${modules}/`], { cwd: root });
  writeFileSync(
    join(root, 'verify'),
    `/bin/node /textpoke/${relative(textpoke, program)} verify --running --modules ${modules}\n`,
  );
}

/** As dump has it: where its instruction lies. */
interface Site {
  readonly address: string;
  readonly symbol?: string;
}

/** A site that has run when init runs, and will not run again. */
function unusedSite(image: string): Site {
  const { stdout } = spawnSync(process.execPath, [builtProgram(), 'dump', image, '--json'], {
    encoding: 'utf8',
    maxBuffer: 1 << 30,
  });
  const { files } = JSON.parse(stdout) as { files: { jumpTable: { site: Site }[] }[] };
  const entry = files[0]?.jumpTable.find(({ site }) => site.symbol === 'run_init_process');
  if (!entry) throw new Error(`${image} has no site in run_init_process`);
  return entry.site;
}

export async function verifyRunning(report: Report, directory: string, unpacked: Unpacked): Promise<void> {
  const { qemu, words, compiler } = machines.amd64;
  const init = compiledInit(directory, compiler);
  const modules = unpacked.modules;
  const { archive } = distroInitramfs(directory, init, modules, wantedModules, (root) =>
    putNode(root, unpacked),
  );
  const site = unusedSite(unpacked.image);
  const stub = join(directory, 'gdb');
  rmSync(stub, { force: true });
  const guest = new Guest(directory, [
    ...[...qemu, '-cpu', 'qemu64', '-smp', '2', '-m', '1024', '-gdb', `unix:${stub},server=on,wait=off`],
    ...['-kernel', unpacked.image, '-initrd', archive, '-append', words],
  ]);
  const verified = async (): Promise<string> => {
    const from = guest.text.length;
    guest.next();
    await guest.line('at rest: verified', 1200);
    return guest.text.slice(from).replaceAll('\r', '');
  };
  try {
    await guest.line('at rest: booted');
    guest.next();
    await guest.line('at rest: switched');
    const clean = await verified();
    for (const line of clean.split('\n')) report.say(`  ${line}`);
    report.expect(clean.includes('verify ended: 0'), `${unpacked.release}: verify --running finds nothing`);
    const slide = BigInt(/slide (0x[0-9a-f]+)/.exec(clean)?.[1] ?? '');
    const address = `0x${(BigInt(site.address) + slide).toString(16)}`;
    await changeMemory(stub, address, 1, (bytes) => bytes.writeUInt8((bytes[0] as number) ^ 1));
    const changed = await verified();
    for (const line of changed.split('\n')) report.say(`  ${line}`);
    const found = changed.includes('verify ended: 1') && changed.includes(`${site.address} `);
    report.expect(
      found,
      `${unpacked.release}: verify --running finds the site at ${site.address} (${site.symbol})`,
    );
  } finally {
    await guest.end();
    rmSync(archive, { force: true });
  }
}
