// What bounds the work on names that a hostile file holds.
import { TextpokeError } from '../../errors.ts';

/**
 * Bytes of a decoded name, the letter in front of it included. KSYM_NAME_LEN is 128, and 512 since 6.1
 * (include/linux/kallsyms.h).
 */
export const longestName = 1024;

/** Names that may be looked at in vain before the bytes are refused: a kernel needs few, a hostile file has any number. */
export class Budget {
  private left: number;

  /** As many names as `size` bytes have room for, twice. */
  constructor(size: number) {
    this.left = size + 0x1_0000;
  }

  /** Errors: `elf-malformed` where too much was looked at. */
  spend(names: number, offset: number): void {
    this.left -= names;
    if (this.left >= 0) return;
    throw new TextpokeError('elf-malformed', 'too many places look like the names of kallsyms and are not', {
      offset,
    });
  }
}
