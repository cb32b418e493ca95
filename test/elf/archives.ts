// Archives made by hand, for tests that need only Node.

/** An archive of members in the GNU form; names of up to 15 characters, each a byte. */
export function archiveOf(
  members: readonly (readonly [name: string, bytes: Uint8Array])[],
): Uint8Array<ArrayBuffer> {
  const parts: Uint8Array[] = [Buffer.from('!<arch>\n')];
  for (const [name, bytes] of members) {
    const header = `${`${name}/`.padEnd(16)}${'0'.padEnd(12)}${'0'.padEnd(6)}${'0'.padEnd(6)}${'644'.padEnd(8)}`;
    parts.push(Buffer.from(`${header}${String(bytes.length).padEnd(10)}\`\n`, 'latin1'), bytes);
    if (bytes.length % 2 === 1) parts.push(Uint8Array.of(0x0a));
  }
  return new Uint8Array(Buffer.concat(parts));
}
