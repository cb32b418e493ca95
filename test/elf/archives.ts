// Archives made by hand, for tests that need only Node. Texts are taken byte by byte.
const latin1 = (text: string) => new Uint8Array(Buffer.from(text, 'latin1'));

/** The header of a member of so many bytes. */
export function header(name: string, size: number | string): string {
  return `${name.padEnd(16)}${'0'.padEnd(12)}${'0'.padEnd(6)}${'0'.padEnd(6)}${'644'.padEnd(8)}${String(size).padEnd(10)}\x60\n`;
}

export function member(name: string, content: string): string {
  return `${header(name, content.length)}${content}${content.length % 2 ? '\n' : ''}`;
}

export const archive = (...members: string[]) => latin1(`!<arch>\n${members.join('')}`);

/** An archive of members in the GNU form; names of up to 15 characters. */
export function archiveOf(members: readonly (readonly [name: string, bytes: Uint8Array])[]): Uint8Array {
  return archive(
    ...members.map(([name, bytes]) => member(`${name}/`, Buffer.from(bytes).toString('latin1'))),
  );
}
