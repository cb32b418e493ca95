// One line on standard error that says what is being done, for a person who waits. The work itself gives way to nothing
// while it lasts, so a thread of its own writes the line.
import type { writeSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import { lineOf } from './text.ts';

/** What the first shared word says. */
const telling = { on: 0, ending: 1, ended: 2 } as const;
/** Bytes of text that are shared, behind two words. */
const room = 400;

/**
 * Runs in the thread, from its source alone: it names nothing of this file. `shared` has two words, what `telling` says
 * and the number of bytes of text, and the text in UTF-8. The first line comes after 800 ms.
 */
function tell(shared: SharedArrayBuffer, columns: number, write: typeof writeSync): void {
  const words = new Int32Array(shared, 0, 2);
  const start = Date.now();
  let shown = false;
  for (let wait = 800; Atomics.wait(words, 0, 0, wait) === 'timed-out'; wait = 250) {
    const what = new TextDecoder().decode(new Uint8Array(shared, 8).slice(0, Atomics.load(words, 1)));
    const time = ` ${Math.round((Date.now() - start) / 1000)} s`;
    write(2, `\r\x1b[K${what.slice(0, Math.max(columns - time.length - 1, 0))}${time}`);
    shown = true;
  }
  if (shown) write(2, '\r\x1b[K');
  Atomics.store(words, 0, 2);
  Atomics.notify(words, 0);
}

const source = `const { workerData: { shared, columns } } = require('node:worker_threads');
(${tell})(shared, columns, require('node:fs').writeSync);`;

/** Tells what is being done from its making on until `end`. */
export class Progress {
  private readonly words: Int32Array;
  private readonly text: Uint8Array;
  private readonly thread: Worker;

  constructor(what: string, columns: number) {
    const shared = new SharedArrayBuffer(8 + room);
    this.words = new Int32Array(shared, 0, 2);
    this.text = new Uint8Array(shared, 8);
    this.say(what);
    this.thread = new Worker(source, { eval: true, workerData: { shared, columns } });
    this.thread.unref();
  }

  /** What is being done from now on; a name in it is made printable. */
  say(what: string): void {
    const { written } = new TextEncoder().encodeInto(lineOf(what), this.text);
    Atomics.store(this.words, 1, written);
  }

  /** Takes the line away. Nothing is written by the thread once this has returned. */
  end(): void {
    if (Atomics.compareExchange(this.words, 0, telling.on, telling.ending) !== telling.on) return;
    Atomics.notify(this.words, 0);
    // A thread that has not begun yet has written nothing, and will not.
    Atomics.wait(this.words, 0, telling.ending, 50);
  }
}
