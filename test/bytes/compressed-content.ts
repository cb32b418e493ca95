// Bytes that compressors make all of their instructions of: text, near and far repetitions, runs, and bytes like no others.
import { seeded } from '../seeded.ts';

/** The content that the streams of lzo.test.ts and snappy.test.ts were made of. */
export function content(): Uint8Array {
  const random = seeded(5);
  const noise = (length: number) => Buffer.from(Array.from({ length }, () => Math.floor(random() * 256)));
  const first = noise(300);
  return new Uint8Array(
    Buffer.concat([
      first,
      Buffer.from('static_key static_key static_call static_call_site '.repeat(3)),
      Buffer.alloc(1200),
      first.subarray(20, 120),
      noise(5),
      Buffer.alloc(16_500, 'ab'),
      first.subarray(30, 33),
      noise(2),
      first.subarray(200, 204),
      Buffer.alloc(20_000, 0x90),
      first.subarray(0, 90),
      noise(80),
      ...Array.from({ length: 40 }, (_, i) =>
        Buffer.concat([first.subarray(i * 3, i * 3 + 3), noise(1 + (i % 3))]),
      ),
    ]),
  );
}
