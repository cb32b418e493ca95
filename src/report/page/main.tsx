// Where the page begins: takes its data out of itself and shows it.
import { render } from 'preact';
import { App } from './app.tsx';
import { isSupported, loadData } from './load.ts';

async function start(): Promise<void> {
  const root = document.getElementById('root') as HTMLElement;
  if (!isSupported()) {
    root.textContent =
      'This browser cannot unpack the report. It needs DecompressionStream: Chrome or Edge 103, Firefox 113, Safari 16.4, or later ones.';
    return;
  }
  const licences = document.getElementById('licences')?.textContent ?? '';
  const data = await loadData();
  root.textContent = '';
  render(<App data={data} licences={licences} />, root);
}

start().catch((error: unknown) => {
  const root = document.getElementById('root') as HTMLElement;
  root.textContent = `The report is damaged: ${error instanceof Error ? error.message : String(error)}`;
});
