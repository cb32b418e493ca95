// What it costs to verify the memory of a kernel, beside the tools of the system that do no more than unpack the same kernel and
// its loaded modules and read the same dump, in one run. CPU time of all threads, which others on the machine disturb little.
// npx tsx bench/verify-memory.ts VMLINUZ DUMP [MODULES]; needs /usr/bin/time and the compressors.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { compressionOf, magicSize } from '../src/bytes/decompress.ts';
import { fileSource } from '../src/files/source.ts';
import { bzImagePayload } from '../src/kernel/files/bzimage.ts';
import { headOf, kernelFormOf } from '../src/kernel/files/detect.ts';
import { builtProgram } from '../test/built.ts';
import { median } from './statistics.ts';

const [vmlinuz, dump, modules] = process.argv.slice(2);
if (!vmlinuz || !dump) throw new Error('usage: npx tsx bench/verify-memory.ts VMLINUZ DUMP [MODULES]');
const runs = 5;
const scratch = mkdtempSync(join(tmpdir(), 'textpoke-bench-'));
const { NODE_EXTRA_CA_CERTS: _, ...env } = process.env;

interface Cost {
  /** Seconds of user and system, and mebibytes at most. */
  readonly cpu: number;
  readonly memory: number;
}

/** Runs a command whose exit status is at most 1, findings; its output goes to a file. */
function costOf(command: string, args: readonly string[], output = '/dev/null'): Cost {
  const figures = join(scratch, 'time');
  const line = ['-o', figures, '-f', '%U %S %M', 'sh', '-c', 'exec "$@" > "$0"', output, command, ...args];
  const { status, error } = spawnSync('/usr/bin/time', line, { stdio: 'ignore', env });
  if (error || status === null || status > 1) throw error ?? new Error(`${command}: exit status ${status}`);
  const [user, system, memory] = (readFileSync(figures, 'utf8').trim().split('\n').at(-1) as string)
    .split(' ')
    .map(Number) as [number, number, number];
  return { cpu: user + system, memory: memory / 1024 };
}

/** The tool that unpacks what begins so. */
function unpacker(start: Uint8Array): readonly string[] {
  const form = compressionOf(start.subarray(0, magicSize));
  if (form === undefined) return ['cat'];
  return form === 'lzo' ? ['lzop', '-dc'] : [form, '-dc'];
}

try {
  const verify = ['verify', vmlinuz, '--memory', dump, ...(modules ? ['--modules', modules] : [])];
  const program = [builtProgram(), ...verify, '--format', 'json'];
  const document = join(scratch, 'document');
  costOf(process.execPath, program, document);
  const { text, modules: listed } = JSON.parse(readFileSync(document, 'utf8')) as {
    text?: { bytes: number; modules?: { bytes: number } };
    modules?: readonly { file?: string }[];
  };

  const kernel = join(scratch, 'payload');
  const source = fileSource(vmlinuz);
  writeFileSync(
    kernel,
    kernelFormOf(headOf(source)) === 'bzImage' ? bzImagePayload(source) : source.read(0, source.size),
  );
  const files = [kernel, ...(listed ?? []).flatMap(({ file }) => (file === undefined ? [] : [file]))];
  // A payload has its size behind it, which some tools take for damage when all is done.
  const unpacking = files.map((file) => [...unpacker(readFileSync(file)), file].join(' '));
  const script = `{ ${unpacking.join('; ')}; cat ${dump}; true; } 2>/dev/null`;

  const ours: Cost[] = [];
  const theirs: Cost[] = [];
  for (let i = 0; i < runs; i++) {
    ours.push(costOf(process.execPath, program));
    theirs.push(costOf('sh', ['-c', `${script} | cat`]));
  }
  const cpu = [ours, theirs].map((of) => median(of.map((cost) => cost.cpu))) as [number, number];
  const least = Math.min(...ours.map((cost) => cost.cpu));
  const memory = Math.max(...ours.map((cost) => cost.memory));
  const ratio = median(ours.map((cost, i) => cost.cpu / (theirs[i] as Cost).cpu));
  const megabytes = (((text?.bytes ?? 0) + (text?.modules?.bytes ?? 0)) / 1e6).toFixed(1);
  console.log(
    `verify ${megabytes} MB of text: ${cpu[0].toFixed(1)} s of CPU (least ${least.toFixed(1)} s), ${memory.toFixed(0)} MiB; ` +
      `to unpack and read the files: ${cpu[1].toFixed(1)} s, ratio ${ratio.toFixed(1)}`,
  );
} finally {
  rmSync(scratch, { recursive: true, force: true });
}
