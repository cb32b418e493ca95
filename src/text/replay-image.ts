// The image of a running kernel with the text that it must have: code is what the passes have made so far, data is the
// memory's. What is asked of the code that a table lists is asked of this image, so a changed text cannot answer for itself.
import type { Image } from '../image/image.ts';
import { MemoryImage } from '../memory/image.ts';
import type { ImagePlace } from '../memory/memory.ts';
import type { Texts } from './expected.ts';

export class ReplayImage extends MemoryImage {
  private readonly texts: Texts;

  constructor(image: Image, place: ImagePlace, texts: Texts) {
    super(image, place);
    this.texts = texts;
  }

  override read(address: number, length: number): Uint8Array {
    return this.texts.holding(address, length)?.at(address, length) ?? super.read(address, length);
  }
}
