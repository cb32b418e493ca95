// Whole contents: of files, and of standard input and process substitutions (`<(...)`), which are streams that may never
// end. What else is no regular file (FIFOs, devices, sockets) is not read.
import { fstatSync, readSync } from 'node:fs';
import { inFile, TextpokeError } from '../errors.ts';
import { openRegular, openSource, reasonOf } from './source.ts';

/** How command lines name standard input and output. A file of this name is `./-`. */
export const standardStream = '-';

/** How shells and systems name a stream that is open already; the number is its descriptor. */
const openStream = /^(?:-|\/dev\/stdin|(?:\/dev|\/proc\/self)\/fd\/(\d+))$/;

/** The descriptor of a stream that a name stands for; undefined for a file, unless it has no name but `-`. */
function streamOf(path: string): number | undefined {
  const found = openStream.exec(path);
  if (!found) return undefined;
  const fd = Number(found[1] ?? 0);
  try {
    return fstatSync(fd).isFile() && path !== standardStream ? undefined : fd;
  } catch {
    return undefined; // To open it as a file will say what is wrong.
  }
}

/** True for a stream, whose bytes can be had only once. */
export function isOpenStream(path: string): boolean {
  return streamOf(path) !== undefined;
}

/** What streams have brought, by their descriptors: a command may look at an input more than once. */
const brought = new Map<number, Uint8Array>();

/**
 * All bytes of a file or of an open stream, at most `limit`. Errors: `read-failed` with the system's reason, for more
 * than the limit, and for what is neither.
 */
export function readWhole(path: string, limit: number, streamLimit = limit): Uint8Array {
  return inFile(path, () => {
    const stream = streamOf(path);
    if (stream === undefined) return readFile(path, limit);
    const bytes = brought.get(stream) ?? readStream(stream, streamLimit, waitForMore);
    brought.set(stream, bytes);
    return bytes;
  });
}

function readFile(path: string, limit: number): Uint8Array {
  let opened: ReturnType<typeof openRegular>;
  try {
    opened = openRegular(path);
  } catch (error) {
    throw failed(error);
  }
  const { fd, size } = opened;
  const source = openSource(path, fd, size);
  try {
    if (size > limit) throw tooLarge(limit);
    // Systems give their own files (/proc) the size 0.
    return size > 0 ? source.read(0, size) : readStream(fd, limit, failed);
  } finally {
    source.close();
  }
}

const failed = (error: unknown) => new TextpokeError('read-failed', `cannot read: ${reasonOf(error)}`);

function tooLarge(limit: number): TextpokeError {
  return new TextpokeError(
    'read-failed',
    `cannot read: there are more than ${limit} bytes, the most for this`,
  );
}

/**
 * True, a moment later, for the error of a stream that does not wait by itself: whoever started this process may have made
 * it one.
 */
export function waitedFor(error: unknown): boolean {
  if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') return false;
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 10);
  return true;
}

const waitForMore = (error: unknown) => (waitedFor(error) ? undefined : failed(error));

const chunk = 1 << 16;

/** Reads from where the file stands to its end; `refusalOf` says whether a failed read is final. */
function readStream(
  fd: number,
  limit: number,
  refusalOf: (error: unknown) => TextpokeError | undefined,
): Uint8Array {
  const parts: Uint8Array[] = [];
  let size = 0;
  for (;;) {
    const part = new Uint8Array(chunk);
    let count: number;
    try {
      count = readSync(fd, part);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EOF') break;
      const refusal = refusalOf(error);
      if (refusal) throw refusal;
      continue;
    }
    if (count === 0) break;
    size += count;
    if (size > limit) throw tooLarge(limit);
    parts.push(count === chunk ? part : part.slice(0, count));
  }
  return new Uint8Array(Buffer.concat(parts, size));
}
