// A fuzz case as data: the name of a seed and the edits that make the input of it, so that a case can be written down,
// run again and made smaller.

/** A change of bytes; `what` says which field it is meant for. */
export type Edit = {
  readonly at: number;
  readonly what?: string;
} & (
  | { readonly put: string }
  | { readonly insert: string; readonly times?: number }
  | { readonly remove: number }
  | { readonly copy: number; readonly size: number }
  | { readonly from: string; readonly offset: number; readonly size: number }
  | { readonly cut: true }
);

/** Bytes of hexadecimal digits. */
export const unhex = (digits: string): Uint8Array => new Uint8Array(Buffer.from(digits, 'hex'));
export const tohex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

function spliced(bytes: Uint8Array, at: number, removed: number, inserted: Uint8Array): Uint8Array {
  const from = Math.min(at, bytes.length);
  const rest = bytes.subarray(Math.min(from + removed, bytes.length));
  const result = new Uint8Array(from + inserted.length + rest.length);
  result.set(bytes.subarray(0, from));
  result.set(inserted, from);
  result.set(rest, from + inserted.length);
  return result;
}

/** Bytes over bytes; what does not fit is left out. */
function overwrite(bytes: Uint8Array, at: number, source: Uint8Array): void {
  if (at < bytes.length) bytes.set(source.subarray(0, bytes.length - at), at);
}

/** The input of a case: `seed` with its edits, one after the other. `bytesOf` gives other seeds by name. */
export function edited(
  seed: Uint8Array,
  edits: readonly Edit[],
  bytesOf: (name: string) => Uint8Array,
): Uint8Array {
  let bytes: Uint8Array = seed.slice();
  for (const edit of edits) {
    const { at } = edit;
    if ('put' in edit) overwrite(bytes, at, unhex(edit.put));
    else if ('cut' in edit) bytes = bytes.slice(0, at);
    else if ('remove' in edit) bytes = spliced(bytes, at, edit.remove, new Uint8Array(0));
    else if ('copy' in edit) overwrite(bytes, at, bytes.slice(edit.copy, edit.copy + edit.size));
    else if ('from' in edit)
      overwrite(bytes, at, bytesOf(edit.from).subarray(edit.offset, edit.offset + edit.size));
    else {
      const once = unhex(edit.insert);
      const { times = 1 } = edit;
      const all = new Uint8Array(once.length * times);
      for (let i = 0; i < times; i++) all.set(once, i * once.length);
      bytes = spliced(bytes, at, 0, all);
    }
  }
  return bytes;
}
