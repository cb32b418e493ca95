// What is gone once the program has started: flags of the sites that go, and what the other sites must not use.
import type { Program } from '../demand/program.ts';
import type { Site } from '../demand/sites.ts';
import { isFreed } from '../image/kernel.ts';
import { keyOf } from '../kinds/kind.ts';
import { kinds } from '../kinds/registry.ts';
import { entryFinding } from './checked.ts';
import { type Finding, judged } from './finding.ts';

/** TP015. */
export function* checkInitFlags(program: Program): Generator<Finding> {
  for (const kind of kinds) {
    const sites = kind.isInit ? program.sites.of(kind) : [];
    yield* judged(sites.length, (which) => {
      const site = sites[which] as Site;
      const isInit = kind.isInit?.(site) ?? false;
      if (isInit === program.image.isInitText(site.address)) return undefined;
      const message = isInit
        ? 'the entry has the init flag, but the site is not in init text'
        : 'the site is in init text, but the entry has no init flag';
      return entryFinding(program, 'TP015', site, site.address, message);
    });
  }
}

/** TP023. */
export function* checkInitReferences(program: Program): Generator<Finding> {
  const { image } = program;
  const isGone = (address: number | undefined): address is number =>
    address !== undefined && (image.isInitText(address) || isFreed(image, address));
  for (const kind of kinds) {
    const sites = kind.reference ? program.sites.of(kind) : [];
    yield* judged(sites.length, (which) => {
      const site = sites[which] as Site;
      const reference = kind.reference?.(program, site);
      if (!reference || isGone(site.address)) return undefined;
      const key = keyOf(site);
      const gone = isGone(key)
        ? `key ${image.describe(key)}`
        : isGone(reference.code)
          ? `${reference.what} ${image.describe(reference.code)}`
          : undefined;
      if (gone === undefined) return undefined;
      const message = `the site stays after start-up, but its ${gone} is freed`;
      return entryFinding(program, 'TP023', site, site.address, message);
    });
  }
}
