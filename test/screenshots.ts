// npm run screenshots -- DIRECTORY: pictures of what people see, to be looked at: commands on terminals of 80, 120 and 200
// columns, and each view of a report in light and dark. Needs chromium and script(1).
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { AnsiUp } from 'ansi_up';
import { builtProgram } from './built.ts';
import { closeBrowser, goTo, openFile, openReport } from './report/browser.ts';
import { linkedBytes, programUnits } from './samples.ts';

const given = process.argv[2];
if (given === undefined) {
  process.stderr.write('usage: npm run screenshots -- DIRECTORY\n');
  process.exit(2);
}
const pictures = resolve(given);
const scratch = mkdtempSync(join(tmpdir(), 'textpoke-screenshots-'));

/** Commands by the names of their pictures. */
const commands = {
  help: '--help',
  dump: 'dump program',
  'dump-summary': 'dump --summary program',
  'dump-by-key': 'dump --by key program',
  explain: 'explain off_key program',
  boot: 'boot program --cpus 1 --enable off_key --trace',
  verify: 'verify program',
  'verify-all': 'verify program --all',
  diff: 'diff program other',
};

/** What a command shows on a terminal. */
function onTerminal(words: string, columns: number): string {
  const line = `stty rows 50 cols ${columns}; ${process.execPath} ${builtProgram()} ${words} || true`;
  const env = { ...process.env, PAGER: 'cat', TERM: 'xterm-256color' };
  return execFileSync('script', ['-qec', line, '/dev/null'], { cwd: scratch, env, encoding: 'utf8' });
}

/** A page that looks as the terminal does. */
function terminalPage(text: string, columns: number): string {
  // Progress is written over on the way.
  const shown = text
    .replaceAll('\r\n', '\n')
    .replace(/[^\n]*\r/g, '')
    .replaceAll('\x1b[K', '');
  const style = `margin: 0; padding: 8px; width: ${columns}ch; background: #111; color: #ddd; font: 13px monospace`;
  return `<!doctype html><meta charset="utf-8"><pre style="${style}">${new AnsiUp().ansi_to_html(shown)}</pre>`;
}

try {
  mkdirSync(pictures, { recursive: true });
  // A page says by which names its files were given.
  process.chdir(scratch);
  writeFileSync(join(scratch, 'program'), linkedBytes('gcc-O2', programUnits));
  writeFileSync(join(scratch, 'other'), linkedBytes('gcc-Os', programUnits));
  for (const [name, words] of Object.entries(commands))
    for (const columns of [80, 120, 200]) {
      const path = join(scratch, 'terminal.html');
      writeFileSync(path, terminalPage(onTerminal(words, columns), columns));
      const { page } = await openFile(path, { width: 10 * columns });
      await page.locator('pre').screenshot({ path: join(pictures, `${name}-${columns}.png`) });
      await page.context().close();
    }
  const reports = [
    ['', ['program'], { verify: true }],
    ['builds-', ['program', 'other'], {}],
  ] as const;
  for (const [prefix, files, options] of reports)
    for (const colorScheme of ['light', 'dark'] as const)
      for (const width of [1280, 360]) {
        const { page } = await openReport(scratch, files, options, { colorScheme, width });
        const views = page.getByRole('navigation').getByRole('link');
        for (const view of await views.allInnerTexts()) {
          await goTo(page, view);
          const name = view
            .toLowerCase()
            .replaceAll(/\W*\d*$/g, '')
            .replaceAll(' ', '-');
          const path = join(pictures, `${prefix}${name}-${colorScheme}-${width}.png`);
          await page.screenshot({ path, fullPage: true });
        }
        await page.context().close();
      }
} finally {
  await closeBrowser();
  rmSync(scratch, { recursive: true, force: true });
}
