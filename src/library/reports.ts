// Reports in the formats that are asked for, as the command line prints them.
import { TextpokeError } from '../errors.ts';

/** The text of each format that was asked for. */
export type Reports<Format extends string> = Readonly<Partial<Record<Format, string>>>;

/** How the text of each format is made. */
type Makers<Format extends string> = Readonly<Record<Format, () => string | Promise<string>>>;

/** Makes the reports in some formats. A report that is not empty ends its last line. Error `usage`. */
export async function reportsIn<Format extends string>(
  formats: readonly Format[] = [],
  makers: Makers<Format>,
): Promise<Reports<Format>> {
  const reports: Partial<Record<Format, string>> = {};
  for (const format of formats) {
    if (!Object.hasOwn(makers, format)) {
      const known = Object.keys(makers).join(', ');
      throw new TextpokeError('usage', `there is no format ${JSON.stringify(format)}; known: ${known}`);
    }
    const text = await makers[format]();
    reports[format] = text === '' || text.endsWith('\n') ? text : `${text}\n`;
  }
  return reports;
}
