// The library's explain: everything about one place or one key of a file.
import { type ExplainOptions, explain as explainFile } from '../dump/explain.ts';
import { type Input, nameOf, withSource } from '../files/input.ts';
import { type ExplainDocument, explainDocument } from '../output/explain-place.ts';

/**
 * What a name means in an object, an archive, an image or a kernel file: sites (`0xADDRESS`, `SYMBOL+0xOFFSET`,
 * `FUNCTION`, `FILE.c:LINE`) or keys (a name or a pattern, as `dump --key` takes it, or a tracepoint's). Errors: those of
 * dump; `unknown-key` where it means nothing.
 */
export async function explain(
  input: Input,
  asked: string,
  options: ExplainOptions = {},
): Promise<ExplainDocument> {
  const files = await withSource(input, (source) => explainFile(nameOf(input), source, asked, options));
  return explainDocument(asked, files);
}
