// Takes the data out of the page: deflated JSON in base64, which no parser of markup looks into.
import type { ReportData } from '../data.ts';

/** What a page needs of a browser: Chrome 103, Firefox 113, Safari 16.4. */
export function isSupported(): boolean {
  return typeof DecompressionStream === 'function';
}

export async function loadData(): Promise<ReportData> {
  const element = document.getElementById('data');
  const text = atob(element?.textContent ?? '');
  const packed = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) packed[i] = text.charCodeAt(i);
  element?.remove();
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream('deflate'));
  return (await new Response(stream).json()) as ReportData;
}
