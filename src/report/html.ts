// A report as one HTML file: the page that the build made, and its data. Nothing is fetched and nothing runs but what stands
// in the file, which its policy says as well: scripts and styles by their hash, and no text ever becomes markup.
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { deflateSync } from 'node:zlib';
import { printable, TextpokeError } from '../errors.ts';
import type { ReportData } from './data.ts';

/** What the build makes of page/ (build.js). */
interface PageParts {
  readonly script: string;
  readonly style: string;
  readonly licences: string;
}

let parts: PageParts | undefined;

/** The parts lie beside the bundle, and are read once. Error `read-failed` where the package is not complete. */
function pageParts(): PageParts {
  parts ??= {
    script: readPart('report.js'),
    style: readPart('report.css'),
    licences: readPart('licences.txt'),
  };
  return parts;
}

function readPart(name: string): string {
  // From dist/, or from the sources in a checkout.
  for (const folder of ['page/', '../../dist/page/']) {
    try {
      return readFileSync(new URL(folder + name, import.meta.url), 'utf8');
    } catch {}
  }
  throw new TextpokeError('read-failed', `dist/page/${name} is not there; the package is not complete`);
}

/** The file. The same data make the same bytes. */
export function reportHtml(data: ReportData): string {
  const { script, style, licences } = pageParts();
  const hash = (text: string) => `'sha256-${createHash('sha256').update(text).digest('base64')}'`;
  const policy = [
    "default-src 'none'",
    `script-src ${hash(script)}`,
    `style-src ${hash(style)}`,
    "base-uri 'none'",
    "form-action 'none'",
    "require-trusted-types-for 'script'",
    "trusted-types 'none'",
  ].join('; ');
  const packed = deflateSync(JSON.stringify(data), { level: 4 }).toString('base64');
  const title = data.images.map(({ summary }) => printable(summary.file.replace(/^.*\//, ''))).join(', ');
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<meta name="generator" content="textpoke ${data.version}">
<title>${escaped(title)} – textpoke</title>
<style>${style}</style>
</head>
<body>
<div id="root"><p class="loading">The report is being unpacked …</p><noscript><p>This report needs JavaScript, which is part of this file. Nothing is fetched from anywhere.</p></noscript></div>
<script type="text/plain" id="licences">${licences}</script>
<script type="application/octet-stream" id="data">${packed}</script>
<script>${script}</script>
</body>
</html>
`;
}

/** A text as markup has it. */
function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);
}
