/// <reference lib="dom" />
/// <reference lib="dom.iterable" />
// A report in Debian's Chromium, as a person opens it: a file, and no network.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { type Browser, chromium, type Page } from 'playwright-core';
import type { Input } from '../../src/files/input.ts';
import { type PageOptions, report } from '../../src/library/report.ts';

export const chromiumTool = 'chromium';

/** How a page is looked at. */
export interface Looks {
  readonly colorScheme?: 'light' | 'dark';
  readonly width?: number;
  /** A page that injects scripts into it needs this: the policy of a report allows none but its own. */
  readonly bypassCSP?: boolean;
}

let browser: Browser | undefined;

/** Closes the pages that a test has opened. */
export async function closePages(): Promise<void> {
  for (const context of browser?.contexts() ?? []) await context.close();
}

/** Closes the browser. */
export async function closeBrowser(): Promise<void> {
  await browser?.close();
  browser = undefined;
}

/** A page that was opened, and what it complained of. */
export interface Opened {
  readonly page: Page;
  /** Errors, and what its policy refused. */
  readonly complaints: string[];
  /** What it asked of a network. */
  readonly requests: string[];
}

/** Opens an HTML file. */
export async function openFile(
  path: string,
  { colorScheme = 'light', width = 1280, bypassCSP = false }: Looks = {},
): Promise<Opened> {
  browser ??= await chromium.launch({ executablePath: `/usr/bin/${chromiumTool}`, args: ['--no-sandbox'] });
  const context = await browser.newContext({
    viewport: { width, height: 900 },
    colorScheme,
    bypassCSP,
    reducedMotion: 'reduce',
  });
  // What compiles the tests names the functions that they send to the page.
  await context.addInitScript('globalThis.__name = (made) => made');
  const page = await context.newPage();
  page.setDefaultTimeout(30_000);
  const complaints: string[] = [];
  const requests: string[] = [];
  page.on('pageerror', (error) => complaints.push(String(error)));
  page.on('console', (message) => {
    if (message.type() === 'error' || message.type() === 'warning') complaints.push(message.text());
  });
  page.on('request', (request) => {
    if (!request.url().startsWith('file:')) requests.push(request.url());
  });
  page.on('dialog', (dialog) => {
    complaints.push(`dialog: ${dialog.message()}`);
    void dialog.dismiss();
  });
  await page.goto(pathToFileURL(path).href);
  return { page, complaints, requests };
}

/** Makes a report in a directory and opens it. */
export async function openReport(
  directory: string,
  inputs: readonly Input[],
  options: PageOptions = {},
  looks: Looks = {},
): Promise<Opened> {
  const path = join(directory, 'report.html');
  const { html } = await report(inputs, options);
  writeFileSync(path, html);
  const opened = await openFile(path, looks);
  await opened.page.getByRole('heading', { level: 1 }).waitFor();
  return opened;
}

/** Goes to a view by its link. */
export async function goTo(page: Page, view: string): Promise<void> {
  await page.getByRole('navigation').getByRole('link', { name: view }).click();
}

/** The cells of all rows of a table: it is scrolled through, since the document has only what is seen. */
export function rowsOf(page: Page, label: string): Promise<string[][]> {
  return page.getByRole('table', { name: label, exact: true }).evaluate(async (table) => {
    const scroller = table.querySelector('.scroller') as HTMLElement;
    const rows = new Map<number, string[]>();
    const next = () => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
    for (let top = 0; ; top += Math.max(100, scroller.clientHeight)) {
      scroller.scrollTop = top;
      await next();
      for (const row of scroller.querySelectorAll('[role=row]:not(.empty)')) {
        const cells = [...row.querySelectorAll('[role=cell]')].map((cell) => cell.textContent ?? '');
        rows.set(Number(row.getAttribute('aria-rowindex')), cells);
      }
      if (top + scroller.clientHeight >= scroller.scrollHeight) break;
    }
    scroller.scrollTop = 0;
    return [...rows].sort(([a], [b]) => a - b).map(([, cells]) => cells);
  });
}
