// Relocation of an x86-64 kernel with KASLR: the places at which the loader adds the slide (arch/x86/boot/compressed/misc.c,
// handle_relocations), by the lists behind the payload of a bzImage or the relocation sections of a vmlinux.
import { countUpTo } from '../../bytes/search.ts';
import type { RelocationLists } from '../../kernel/relocation-lists.ts';
import type { ExpectedText } from '../expected.ts';
import type { PassResult, TextPass } from '../pass.ts';

/** The pass over some lists; undefined: nothing says which places there are. */
export function relocation(lists: RelocationLists | undefined): TextPass<unknown> {
  return {
    kind: 'relocation',
    name: 'relocation',
    run({ slide, texts }): PassResult | undefined {
      if (slide === 0) return undefined;
      if (!lists) {
        const message =
          'the file does not have the places that the loader changes (the vmlinuz has), so text that holds addresses is not replayed';
        return { sites: 0, notes: [{ severity: 'left', message }] };
      }
      let sites = 0;
      for (const text of texts.all) {
        sites += add(text, lists.relocs64, slide, 8);
        if (lists.inverse32) sites += add(text, lists.inverse32, -slide, 4);
        sites += add(text, lists.relocs32, slide, 4);
      }
      return { sites, notes: [] };
    },
  };
}

/** Adds to the fields of one list that lie in a text; the list is in order. */
function add(text: ExpectedText, places: Int32Array, distance: number, size: 4 | 8): number {
  let at = countUpTo(places, text.start - 1);
  let count = 0;
  for (; at < places.length && (places[at] as number) + size <= text.end; at++) {
    text.add(places[at] as number, distance, size);
    count++;
  }
  return count;
}
