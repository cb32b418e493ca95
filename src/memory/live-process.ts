// The memory of a process that runs, by what /proc says of it (proc(5)): nothing of the process is changed or stopped.
import { closeSync, openSync, readFileSync, readlinkSync, statSync } from 'node:fs';
import { toAddress } from '../bytes/integer.ts';
import type { ElfHeader } from '../elf/header.ts';
import { TextpokeError } from '../errors.ts';
import { openSource, reasonOf } from '../files/source.ts';
import { liveMemory } from './memory.ts';
import type { OpenSnapshot } from './open.ts';
import { type MappedFile, readAuxiliary } from './process.ts';
import { layOut, memoryIn } from './stretches.ts';

/** A row of /proc/PID/maps: what is mapped of which file. */
interface Mapping extends MappedFile {
  readonly inode: number;
  readonly isReadable: boolean;
  readonly isCode: boolean;
}

/** The file of the program that a process runs. Error `read-failed`. */
export function programFileOf(pid: number): string {
  const link = `/proc/${pid}/exe`;
  const [path, inode] = attempt(link, pid, () => [readlinkSync(link), statSync(link).ino] as const);
  return fileOf(pid, path, inode) ?? link;
}

/** Files that a process has code of, its program first, without those that are gone. Error `read-failed`. */
export function codeFilesOf(pid: number): string[] {
  const files = new Set([programFileOf(pid)]);
  for (const { name, inode, isCode } of mappingsOf(pid)) {
    const file = isCode && name.startsWith('/') ? fileOf(pid, name, inode) : undefined;
    if (file !== undefined) files.add(file);
  }
  return [...files];
}

/** Where a file of a process has its name here: a process may have another root, and the name may be another file's by now. */
function fileOf(pid: number, path: string, inode: number): string | undefined {
  return [path, `/proc/${pid}/root${path}`].find((one) => {
    try {
      return statSync(one).ino === inode;
    } catch {
      return false;
    }
  });
}

/** Opens the memory of a process, of the machine and class that `header` is of. Error `read-failed`. */
export function openProcess(pid: number, header: ElfHeader): OpenSnapshot {
  const mappings = mappingsOf(pid);
  if (mappings.length === 0)
    throw new TextpokeError(
      'read-failed',
      'the process has no memory: it has ended, or belongs to the kernel',
      {
        file: `/proc/${pid}/maps`,
      },
    );
  const auxiliary = readAuxiliary(readOf(pid, 'auxv'), header);
  const path = memoryPathOf(pid);
  const fd = attempt(path, pid, () => openSync(path, 'r'));
  try {
    // Its size says as little as that of other files in /proc. What lies at an address stands at that byte.
    const source = openSource(path, fd, Number.MAX_SAFE_INTEGER);
    const readable = mappings.filter((mapping) => mapping.isReadable);
    const starts = readable.map(({ start }) => start);
    const stretches = layOut({
      starts,
      offsets: starts,
      sizes: readable.map(({ start, end }) => end - start),
    });
    const memory = memoryIn(source, stretches, { format: 'the memory of the process', addresses: 'virtual' });
    return {
      memories: [liveMemory(memory)],
      vmcoreinfo: undefined,
      process: {
        ...auxiliary,
        files: mappings.filter(({ name }) => name.startsWith('/')),
        words: { entry: 'AT_ENTRY of the process', files: 'the mappings of the process' },
      },
      close: () => source.close(),
    };
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

export const memoryPathOf = (pid: number): string => `/proc/${pid}/mem`;

const mappingsOf = (pid: number) => [...mappingsIn(readOf(pid, 'maps').toString('utf8'))];

/** 7f0000000000-7f0000001000 r-xp 00001000 08:01 1234   /usr/lib/name; control characters in names are octal (\012). */
function* mappingsIn(text: string): Generator<Mapping> {
  for (const line of text.split('\n')) {
    const [, start, end, rights = '', offset, inode, name = ''] =
      /^([0-9a-f]+)-([0-9a-f]+) (\S{4}) ([0-9a-f]+) \S+ (\d+) *(.*)$/.exec(line) ?? [];
    if (start === undefined) continue;
    const number = (digits: string | undefined) => toAddress(BigInt(`0x${digits}`));
    yield {
      ...{ start: number(start), end: number(end), offset: number(offset) },
      name: name.replaceAll('\\012', '\n'),
      inode: Number(inode),
      isReadable: rights[0] === 'r',
      isCode: rights[2] === 'x',
    };
  }
}

function readOf(pid: number, name: string): Buffer {
  const path = `/proc/${pid}/${name}`;
  return attempt(path, pid, () => readFileSync(path));
}

function attempt<T>(path: string, pid: number, body: () => T): T {
  try {
    return body();
  } catch (error) {
    throw refusal(path, pid, error);
  }
}

function refusal(path: string, pid: number, error: unknown): TextpokeError {
  const { code } = error as { code?: unknown };
  const why =
    code === 'ENOENT' || code === 'ESRCH'
      ? `there is no process ${pid}, or /proc is not mounted`
      : code === 'EACCES' || code === 'EPERM'
        ? 'who traces the process may read it: its own user where kernel.yama.ptrace_scope is 0 and the process is dumpable, and root'
        : 'the memory of a process is read through /proc';
  return new TextpokeError('read-failed', `cannot read: ${reasonOf(error)}; ${why}`, { file: path });
}
