// Writes into a guest's memory through QEMU's debugger stub (the remote serial protocol of gdb).
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

/** Sends a packet and waits for the answer, without its frame. That the guest stands still now is told in between. */
async function ask(socket: Socket, packet: string): Promise<string> {
  const sum = [...packet].reduce((all, letter) => (all + letter.charCodeAt(0)) & 0xff, 0);
  socket.write(`$${packet}#${sum.toString(16).padStart(2, '0')}`);
  let text = '';
  for (;;) {
    const packets = [...text.matchAll(/\$([^#]*)#[0-9a-f]{2}/g)].map(([, content]) => content as string);
    const answer = packets.find((content) => !/^[TS][0-9a-f]{2}/.test(content));
    if (answer !== undefined) {
      socket.write('+'.repeat(packets.length));
      return answer;
    }
    const [more] = (await once(socket, 'data')) as [string];
    text += more;
  }
}

/**
 * Has `change` make other bytes of those at a virtual address (`0x…`), while the guest stands still. The stub writes
 * where page tables would not let the guest.
 */
export async function changeMemory(
  path: string,
  address: string,
  size: number,
  change: (bytes: Buffer) => void,
): Promise<void> {
  const socket = connect(path).setEncoding('latin1');
  await once(socket, 'connect');
  const place = `${address.replace(/^0x/, '')},${size.toString(16)}`;
  const read = await ask(socket, `m${place}`);
  const bytes = Buffer.from(read, 'hex');
  if (bytes.length !== size) throw new Error(`the debugger stub reads "${read}" at ${address}`);
  change(bytes);
  const wrote = await ask(socket, `M${place}:${bytes.toString('hex')}`);
  if (wrote !== 'OK') throw new Error(`the debugger stub answers "${wrote}" to a write at ${address}`);
  // Without its debugger the guest goes on.
  await ask(socket, 'D');
  socket.end();
}
