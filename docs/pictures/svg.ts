// Pieces of pictures: text, boxes, bytes and arrows, as SVG that reads in light and dark.

/** A font that every system has a like of; a letter is 0.6 of the size wide. */
const size = 14;
const letter = 8.43;

const style = `
  text { font: ${size}px ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace; fill: #1f2328; white-space: pre }
  .page { fill: #ffffff } .quiet { fill: #59636e } .strong { font-weight: bold }
  .box { fill: #f6f8fa; stroke: #8c959f } .hot { fill: #ffe2cc; stroke: #bc4c00 } .key { fill: #ddf4ff; stroke: #0969da }
  .arrow { fill: none; stroke: #59636e; stroke-width: 1.5 } .head { fill: #59636e }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 } .page { fill: #0d1117 } .quiet { fill: #9198a1 }
    .box { fill: #161b22; stroke: #656c76 } .hot { fill: #4d2a10; stroke: #f0883e } .key { fill: #0c2d4d; stroke: #58a6ff }
    .arrow { stroke: #9198a1 } .head { fill: #9198a1 }
  }`;

const escaped = (text: string) =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');

export type Look = 'box' | 'hot' | 'key';

/** A line of text; `x` and `y` are its left end and its base line. */
export function text(x: number, y: number, line: string, look = ''): string {
  return `<text x="${x}" y="${y}"${look ? ` class="${look}"` : ''}>${escaped(line)}</text>`;
}

/** A box with lines of text in it; `y` is its upper edge. */
export function box(
  x: number,
  y: number,
  width: number,
  lines: readonly string[],
  look: Look = 'box',
): string {
  const height = 14 + 18 * lines.length;
  return [
    `<rect x="${x}" y="${y}" width="${width}" height="${height}" rx="4" class="${look}"/>`,
    ...lines.map((line, i) => text(x + 10, y + 21 + 18 * i, line)),
  ].join('\n');
}

/** Bytes side by side, those that `hot` says marked; `y` is the upper edge. */
export function bytes(x: number, y: number, hex: string, hot: (i: number) => boolean = () => false): string {
  return (hex.match(/../g) ?? [])
    .map((byte, i) => {
      const at = x + 32 * i;
      return `<rect x="${at}" y="${y}" width="30" height="26" rx="3" class="${hot(i) ? 'hot' : 'box'}"/>\n${text(at + 7, y + 18, byte)}`;
    })
    .join('\n');
}

/** How wide a line is. */
export const widthOf = (line: string) => Math.ceil(letter * line.length);

/** An arrow through points, with a head at the last. */
export function arrow(...points: readonly (readonly [number, number])[]): string {
  const [fromX, fromY] = points.at(-2) as readonly [number, number];
  const [x, y] = points.at(-1) as readonly [number, number];
  const angle = (Math.atan2(y - fromY, x - fromX) * 180) / Math.PI;
  return `<path class="arrow" d="M${points.map((point) => point.join(' ')).join(' L')}"/>
<path class="head" d="M0 0 L-9 -4 L-9 4 Z" transform="translate(${x} ${y}) rotate(${Math.round(angle)})"/>`;
}

/** A whole picture; who cannot see it reads the title and the description. */
export function picture(
  width: number,
  height: number,
  title: string,
  description: string,
  parts: readonly string[],
): string {
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-labelledby="title description">
<title id="title">${escaped(title)}</title>
<desc id="description">${escaped(description)}</desc>
<style>${style}
</style>
<rect class="page" width="${width}" height="${height}" rx="8"/>
${parts.join('\n')}
</svg>
`;
}
