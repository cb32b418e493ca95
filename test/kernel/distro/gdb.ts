// Writes into a guest's memory, and stops it at an address, through QEMU's debugger stub (the remote serial protocol of gdb).
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

const isStop = (content: string) => /^[TS][0-9a-f]{2}/.test(content);

/** Sends a packet and waits for the answer, without its frame. That the guest stands still now is told in between. */
function ask(socket: Socket, packet: string): Promise<string> {
  send(socket, packet);
  return answer(socket, (content) => !isStop(content));
}

function send(socket: Socket, packet: string): void {
  const sum = [...packet].reduce((all, letter) => (all + letter.charCodeAt(0)) & 0xff, 0);
  socket.write(`$${packet}#${sum.toString(16).padStart(2, '0')}`);
}

/** The first packet that is wanted. */
async function answer(socket: Socket, isWanted: (content: string) => boolean): Promise<string> {
  let text = '';
  for (;;) {
    const packets = [...text.matchAll(/\$([^#]*)#[0-9a-f]{2}/g)].map(([, content]) => content as string);
    const wanted = packets.find(isWanted);
    if (wanted !== undefined) {
      socket.write('+'.repeat(packets.length));
      return wanted;
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

/**
 * Has the guest stop `times` times when it comes to an address (`0x…`), each `every`th time; `look` sees it each time. Then it
 * goes on.
 */
export async function stopAt(
  path: string,
  address: string,
  times: number,
  start: () => void,
  look: (time: number) => Promise<void>,
  every = 1,
): Promise<void> {
  const socket = connect(path).setEncoding('latin1');
  await once(socket, 'connect');
  // A breakpoint of the processor's: the guest's text stays as it is.
  const place = `1,${address.replace(/^0x/, '')},1`;
  const set = await ask(socket, `Z${place}`);
  if (set !== 'OK') throw new Error(`the debugger stub answers "${set}" to a breakpoint at ${address}`);
  for (let time = 0; time < times * every; time++) {
    send(socket, 'c');
    if (time === 0) start();
    await answer(socket, isStop);
    if ((time + 1) % every === 0) await look((time + 1) / every - 1);
    // Over the breakpoint.
    if ((await ask(socket, `z${place}`)) !== 'OK') throw new Error('the breakpoint stays');
    send(socket, 's');
    await answer(socket, isStop);
    await ask(socket, `Z${place}`);
  }
  await ask(socket, `z${place}`);
  await ask(socket, 'D');
  socket.end();
}
