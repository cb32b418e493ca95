// What dump found as JSON Lines: an object a line, for results that no program wants to hold (schema textpoke.dumpline/1).
import type { DumpedFile } from '../dump/model.ts';
import { type Files, partsOf } from './dump.ts';
import { inPieces } from './pieces.ts';
import { jsonText } from './text.ts';

const lineSchema = 'textpoke.dumpline/1';

/** A line for each file, then one for each problem and each entry of its tables; in pieces of whole lines. */
export async function* dumpLines(files: Files): AsyncGenerator<string> {
  for await (const file of files) yield* inPieces(linesOf(file));
}

function* linesOf(dumped: DumpedFile): Generator<string> {
  const { head, shown, besides } = partsOf(dumped);
  const { file, ...more } = head;
  const { absolute, problems = {} } = besides;
  const line = (record: object) => `${jsonText(record)}\n`;
  yield line({ schema: lineSchema, file, ...more, ...(absolute && { absolute }) });
  for (const [about, told] of Object.entries(problems))
    for (const problem of told) yield line({ file, about, problem });
  for (const { id, entries } of shown) for (const entry of entries) yield line({ file, table: id, entry });
}
