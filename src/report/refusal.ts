// Why boot does not do something, in words.
import { hexBytes } from '../bytes/integer.ts';
import { MismatchError, TextpokeError } from '../errors.ts';

/** Why boot refuses to do something; undefined where it did it. */
export function refusalOf(body: () => unknown): string | undefined {
  try {
    body();
    return undefined;
  } catch (error) {
    if (!(error instanceof TextpokeError) || error.code === 'defect') throw error;
    const [first] = error instanceof MismatchError ? error.mismatches : [];
    if (!first) return error.message;
    return `${error.message}; the first is ${first.name}: found ${hexBytes(first.found)} (${first.reason})`;
  }
}
