// QEMU's machine protocol: a line of JSON each way (QEMU, docs/interop/qmp-spec.rst).
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

export class Qmp {
  private readonly socket: Socket;
  private text = '';
  private constructor(socket: Socket) {
    this.socket = socket;
    socket.setEncoding('utf8');
    // A command that waits is told by `once`; behind the last one, QEMU may end before the socket does.
    socket.on('error', () => {});
  }

  static async open(path: string): Promise<Qmp> {
    const socket = connect(path);
    await once(socket, 'connect');
    const qmp = new Qmp(socket);
    await qmp.run('qmp_capabilities');
    return qmp;
  }

  /** Sends a command, waits until it is done, and gives what it returns. */
  async run(execute: string, args: Record<string, unknown> = {}): Promise<unknown> {
    this.socket.write(`${JSON.stringify({ execute, arguments: args })}\n`);
    for (;;) {
      const end = this.text.indexOf('\n');
      if (end < 0) {
        const [more] = (await once(this.socket, 'data')) as [string];
        this.text += more;
        continue;
      }
      const answer = JSON.parse(this.text.slice(0, end)) as { return?: unknown; error?: { desc: string } };
      this.text = this.text.slice(end + 1);
      if (answer.error) throw new Error(`${execute}: ${answer.error.desc}`);
      if ('return' in answer) return answer.return;
    }
  }

  close(): void {
    this.socket.end();
  }
}
