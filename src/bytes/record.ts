// Fixed records declared as field lists: size and offsets are derived, so a format fact stands in one place.
import type { ByteView } from './view.ts';

const widths = { u8: 1, u16: 2, u32: 4, s32: 4, u64: 8 } as const;

export type FieldType = keyof typeof widths;
export type FieldList = Readonly<Record<string, FieldType>>;

/** A record's value: 64-bit fields are bigint, all others number. */
export type RecordOf<F extends FieldList> = { [K in keyof F]: F[K] extends 'u64' ? bigint : number };

/** A record to write: a 64-bit field may be a safe integer too. */
export type WritableRecord<F extends FieldList> = {
  [K in keyof F]: F[K] extends 'u64' ? bigint | number : number;
};

export interface RecordFormat<F extends FieldList> {
  /** Size in bytes. */
  readonly size: number;
  /** Byte offset of each field. */
  readonly offsets: { readonly [K in keyof F]: number };
  read(view: ByteView, at: number): RecordOf<F>;
  write(view: ByteView, at: number, value: WritableRecord<F>): void;
}

/** Makes a record format of a field list, in order and without padding. */
export function record<const F extends FieldList>(fields: F): RecordFormat<F> {
  const offsets = {} as { [K in keyof F]: number };
  let size = 0;
  for (const name in fields) {
    offsets[name] = size;
    size += widths[fields[name] as FieldType];
  }
  return {
    size,
    offsets,
    read(view, at) {
      view.need(at, size);
      const value: Record<string, number | bigint> = {};
      for (const name in fields) value[name] = view[fields[name] as FieldType](at + offsets[name]);
      return value as RecordOf<F>;
    },
    write(view, at, value) {
      view.need(at, size);
      for (const name in fields) {
        const field = value[name];
        const offset = at + offsets[name];
        switch (fields[name] as FieldType) {
          case 'u8':
            view.setU8(offset, field as number);
            break;
          case 'u16':
            view.setU16(offset, field as number);
            break;
          case 'u32':
          case 's32':
            view.setU32(offset, (field as number) >>> 0);
            break;
          case 'u64':
            if (typeof field === 'bigint') view.setU64(offset, field);
            else view.setS64(offset, field);
            break;
        }
      }
    },
  };
}
