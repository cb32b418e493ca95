// The clang that makes code for kCFI.
import { spawnSync } from 'node:child_process';

/** Clangs that have kCFI, as Debian calls them. From 21 on it tells numbers of arguments. */
const clangs = ['clang-22', 'clang-21', 'clang-20', 'clang-19', 'clang-18', 'clang-17', 'clang-16'];

/** The newest that is there. */
export function newestClang(): string {
  const clang = clangs.find((name) => spawnSync(name, ['--version']).status === 0);
  if (clang === undefined) throw new Error(`one of ${clangs.join(', ')} is needed`);
  return clang;
}
