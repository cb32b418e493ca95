// textpoke init: prints what to add to the build files of a project, as a patch. It changes nothing itself.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { TextpokeError } from '../errors.ts';
import { readText } from '../files/input.ts';
import { buildFiles } from '../output/build-files.ts';
import { print, warn } from '../output/console.ts';

/** The first Makefile is the one that make takes. */
const makefiles = ['GNUmakefile', 'makefile', 'Makefile'];

/** What a patch cannot show as it is: control characters but for tabs and ends of lines. */
const unprintable = /[^\P{Cc}\t\n\r]/u;

/** Runs the command on the project in a directory. */
export async function runInit(directory = '.'): Promise<number> {
  const there = [...buildFiles.keys()].filter((name) => existsSync(join(directory, name)));
  const first = there.find((name) => makefiles.includes(name));
  const names = there.filter((name) => name === first || !makefiles.includes(name));
  if (names.length === 0)
    throw new TextpokeError(
      'usage',
      `${JSON.stringify(directory)} has no Makefile, CMakeLists.txt or meson.build; without these, compile with ` +
        '$(textpoke config --cflags), annotate the objects, and link with $(textpoke config --ldflags)',
    );
  const { createTwoFilesPatch } = await import('diff');
  for (const name of names) {
    const path = join(directory, name);
    const text = readText(path);
    if (unprintable.test(text))
      throw new TextpokeError('usage', 'the file has control characters; it is no text', { file: path });
    if (/textpoke/i.test(text)) {
      warn(`${path} names textpoke already; nothing is added to it`);
      continue;
    }
    for (const { name: file, before, after } of (
      buildFiles.get(name) as NonNullable<ReturnType<typeof buildFiles.get>>
    )(name, text))
      print(
        createTwoFilesPatch(
          before === undefined ? '/dev/null' : `a/${file}`,
          `b/${file}`,
          before ?? '',
          after,
        )
          .split('\n')
          .slice(1) // a line of `=`, for Index:
          .join('\n'),
      );
  }
  return 0;
}
