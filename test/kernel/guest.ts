// A guest of QEMU: what it prints, what it is told, and what is done while it stands still.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { Qmp } from './qmp.ts';

/** How long a guest may take to print a line that is waited for, in seconds. */
const patience = 300;

export class Guest {
  /** All that was printed on the console so far. */
  text = '';
  /** Up to where lines were waited for. */
  private read = 0;
  private readonly socket: string;
  private readonly process: ChildProcess;

  /**
   * Starts QEMU with `command` (its name and arguments) and its machine protocol on a socket in `directory`; what the
   * guest prints is also kept there, in console.log.
   */
  constructor(directory: string, command: readonly string[]) {
    this.socket = join(directory, 'qmp');
    const log = join(directory, 'console.log');
    for (const path of [this.socket, log]) rmSync(path, { force: true });
    const [name = '', ...args] = command;
    const all = [...args, '-nographic', '-no-reboot', '-qmp', `unix:${this.socket},server=on,wait=off`];
    this.process = spawn(name, all, { stdio: ['pipe', 'pipe', 'pipe'] });
    for (const stream of [this.process.stdout, this.process.stderr])
      stream?.on('data', (bytes: Buffer) => {
        this.text += bytes.toString('latin1');
        appendFileSync(log, bytes);
      });
  }

  /** Waits until the guest has printed a line; an error when it ends without or takes too long. */
  line(line: string, seconds = patience): Promise<void> {
    return new Promise((resolve, reject) => {
      const last = () => this.text.slice(-2000);
      const timer = setTimeout(() => end(new Error(`no "${line}" in time:\n${last()}`)), seconds * 1000);
      const look = () => {
        const at = this.text.indexOf(line, this.read);
        if (at < 0) return;
        this.read = at + line.length;
        end();
      };
      const onExit = () => end(new Error(`the guest ended without "${line}":\n${last()}`));
      const end = (error?: Error) => {
        clearTimeout(timer);
        this.process.stdout?.off('data', look);
        this.process.off('close', onExit);
        if (error) reject(error);
        else resolve();
      };
      this.process.stdout?.on('data', look);
      this.process.on('close', onExit);
      if (this.process.exitCode !== null) onExit();
      look();
    });
  }

  /** Stops the guest for what is done in between; one that somebody else has stopped does not go on behind it. */
  async stopped(work: (qmp: Qmp) => Promise<void>, goesOn = true): Promise<void> {
    const qmp = await Qmp.open(this.socket);
    await qmp.run('stop');
    await work(qmp);
    if (goesOn) await qmp.run('cont');
    qmp.close();
  }

  /** Lets an init that rests go on. */
  next(): void {
    this.process.stdin?.write('\n');
  }

  /** Ends QEMU, if it still runs. */
  async end(): Promise<void> {
    if (this.process.exitCode !== null || this.process.signalCode !== null) return;
    this.process.kill();
    await once(this.process, 'exit');
  }
}
