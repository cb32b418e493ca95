// What alternatives are replayed with: a text that tells of its writes, and pointers of operations that all hold the same.
import { KernelReader } from '../../memory/kernel/reader.ts';
import { ExpectedText } from '../../text/expected.ts';
import type { TextKind } from '../../text/kind.ts';

/** A write of a run. */
export interface Written {
  readonly address: number;
  readonly bytes: Uint8Array;
}

/** A text that tells what is written to it. */
export class ToldText extends ExpectedText {
  told: (write: Written) => void = () => undefined;

  override write(address: number, bytes: Uint8Array, kind: TextKind): void {
    this.told({ address, bytes: bytes.slice() });
    super.write(address, bytes, kind);
  }
}

/** A reader for which every pointer of operations holds the same. */
export class OneTarget extends KernelReader {
  target = 0;

  override word(): number {
    return this.target;
  }
}
