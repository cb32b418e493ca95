// The summary of dump: as JSON (schema textpoke.summary/1), and as text that fits a screen.
import type { FileSummary } from '../dump/summary.ts';

const summarySchema = 'textpoke.summary/1';

/** What `textpoke dump --summary --json` prints (docs/summary.schema.json). */
export interface SummaryDocument {
  readonly schema: 'textpoke.summary/1';
  /** One for each file. */
  readonly files: readonly FileSummary[];
}

/** The document of some summaries. */
export function summaryDocument(files: readonly FileSummary[]): SummaryDocument {
  return { schema: summarySchema, files };
}
