// What is gone once the program has started: flags of the sites that go, and what the other sites must not use.
import { placeOf } from '../arch/code-pointer.ts';
import type { Runtime } from '../boot/runtime.ts';
import { readCallValue } from '../boot/static-call.ts';
import { TextpokeError } from '../errors.ts';
import { isFreed } from '../image/kernel.ts';
import type { CallSite } from '../image/sites.ts';
import { entryFinding } from './entries.ts';
import type { Finding } from './finding.ts';

/** TP015. */
export function* checkInitFlags(runtime: Runtime): Generator<Finding> {
  const flagged = [
    ...runtime.branches.map((site) => ({ site, init: site.bit1 })),
    ...runtime.callSites.map((site) => ({ site, init: site.init })),
  ];
  for (const { site, init } of flagged) {
    if (init === runtime.image.isInitText(site.address)) continue;
    const message = init
      ? 'the site is flagged init but does not lie in init text'
      : 'the site lies in init text but is not flagged';
    yield entryFinding(runtime, 'TP015', site, site.address, message);
  }
}

/** TP023. */
export function* checkInitReferences(runtime: Runtime): Generator<Finding> {
  const { image } = runtime;
  const isGone = (address: number) => image.isInitText(address) || isFreed(image, address);
  const uses = [
    ...runtime.branches.map((site) => ({
      site,
      key: site.key,
      code: site.target as number | undefined,
      what: 'target',
    })),
    ...runtime.callSites.map((site) => ({
      site,
      key: site.key,
      code: functionOf(runtime, site),
      what: 'function',
    })),
  ];
  for (const { site, key, code, what } of uses) {
    if (isGone(site.address)) continue;
    const gone = isGone(key)
      ? `key ${image.describe(key)}`
      : code !== undefined && isGone(code)
        ? `${what} ${image.describe(code)}`
        : undefined;
    if (gone === undefined) continue;
    const message = `the site stays when start-up is over, but its ${gone} is freed`;
    yield entryFinding(runtime, 'TP023', site, site.address, message);
  }
}

/** The place of the function that a site's call goes to. */
function functionOf(runtime: Runtime, { key }: CallSite): number | undefined {
  try {
    const value = readCallValue(runtime, key);
    return value.kind === 'function' ? placeOf(runtime.image.arch, value.address) : undefined;
  } catch (error) {
    if (error instanceof TextpokeError) return undefined;
    throw error;
  }
}
