// Reports in the formats that are asked for, as the command line prints them.
import { TextpokeError } from '../errors.ts';

/** The text of each format that was asked for. */
export type Reports<Format extends string> = Readonly<Partial<Record<Format, string>>>;

type Text = string | Iterable<string>;

/** How the text of each format is made, as a whole or in pieces. */
export type Makers<Format extends string> = Readonly<Record<Format, () => Text | Promise<Text>>>;

/** The text of a format, as a whole or in pieces. Error `usage`. */
export async function textIn<Format extends string>(format: Format, makers: Makers<Format>): Promise<Text> {
  if (Object.hasOwn(makers, format)) return makers[format]();
  const known = Object.keys(makers).join(', ');
  throw new TextpokeError('usage', `there is no format ${JSON.stringify(format)}; known: ${known}`);
}

/** Makes the reports in some formats. A report that is not empty ends its last line. Error `usage`. */
export async function reportsIn<Format extends string>(
  formats: readonly Format[] = [],
  makers: Makers<Format>,
): Promise<Reports<Format>> {
  const reports: Partial<Record<Format, string>> = {};
  for (const format of formats) {
    const made = await textIn(format, makers);
    const text = typeof made === 'string' ? made : [...made].join('');
    reports[format] = text === '' || text.endsWith('\n') ? text : `${text}\n`;
  }
  return reports;
}
