// The page: one image at a time, and its views.
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { printable } from '../../errors.ts';
import type { ReportData } from '../data.ts';
import { Boot, type Chosen } from './boot.tsx';
import { Builds } from './builds.tsx';
import { Findings } from './findings.tsx';
import { Keys } from './keys.tsx';
import { TextMap } from './map.tsx';
import { countText, ImageModel } from './model.ts';
import { Overview } from './overview.tsx';
import { Name } from './parts.tsx';

const viewNames = {
  overview: 'Overview',
  map: 'Map of text',
  keys: 'Keys and calls',
  boot: 'Boot',
  builds: 'Builds',
  findings: 'Findings',
} as const;
type View = keyof typeof viewNames;

function viewOfHash(views: readonly View[]): View {
  const name = location.hash.slice(1) as View;
  return views.includes(name) ? name : 'overview';
}

const nothingChosen: Chosen = { cpus: undefined, steps: [] };

export function App({ data, licences }: { data: ReportData; licences: string }) {
  const models = useMemo(() => data.images.map((image) => new ImageModel(image)), [data]);
  // Of two builds the new one is what a reader wants to see.
  const [number, setNumber] = useState(data.builds ? 1 : 0);
  const model = models[number] as ImageModel;
  const hasPlaces = model.data.places !== undefined;
  const views = useMemo(() => {
    const all: View[] = ['overview'];
    if (hasPlaces) all.push('map', 'keys', 'boot');
    if (data.builds) all.push('builds');
    if (model.data.findings) all.push('findings');
    return all;
  }, [data, model, hasPlaces]);
  const [view, setView] = useState<View>(() => viewOfHash(views));
  const [search, setSearch] = useState('');
  const [opened, setOpened] = useState<number>();
  const [chosen, setChosen] = useState<readonly Chosen[]>(models.map(() => nothingChosen));
  const [switchSearch, setSwitchSearch] = useState('');
  const main = useRef<HTMLElement>(null);

  useEffect(() => {
    const change = () => setView(viewOfHash(views));
    change();
    addEventListener('hashchange', change);
    return () => removeEventListener('hashchange', change);
  }, [views]);
  useEffect(() => {
    document.title = `${model.title} – ${viewNames[view]} – textpoke`;
  }, [model, view]);
  useEffect(() => {
    const press = (event: KeyboardEvent) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const isTyping = event.target instanceof Element && event.target.matches('input, select, textarea');
      if (event.key === '/' && !isTyping) {
        const box = main.current?.querySelector<HTMLInputElement>('input[type=search]');
        if (!box) return;
        event.preventDefault();
        box.focus();
      } else if (event.key === 'Escape' && !isTyping) setOpened(undefined);
      else if (!isTyping && /^[1-9]$/.test(event.key)) {
        const to = views[Number(event.key) - 1];
        if (to) location.hash = to;
      }
    };
    addEventListener('keydown', press);
    return () => removeEventListener('keydown', press);
  }, [views]);

  const go = (to: View) => {
    location.hash = to;
  };
  const { summary } = model.data;
  const about = [`${summary.class}-bit ${summary.machine}`, types[summary.type]];
  if (summary.unpacked !== undefined) about.push(printable(summary.unpacked));
  return (
    <>
      <button type="button" class="skip" onClick={() => main.current?.focus()}>
        Skip to the view
      </button>
      <header class="page-head">
        <div class="title">
          <h1>
            <Name title={printable(summary.file)}>{model.title}</Name>
          </h1>
          <p class="quiet">{about.join(', ')}</p>
        </div>
        {models.length > 1 && (
          <label class="images">
            Image{' '}
            <select
              value={number}
              onChange={(event) => {
                setNumber(Number(event.currentTarget.value));
                setOpened(undefined);
              }}
            >
              {models.map((of, i) => (
                <option key={i} value={i}>
                  {data.builds ? `${i === 0 ? 'old' : 'new'}: ` : ''}
                  {printable(of.data.summary.file)}
                </option>
              ))}
            </select>
          </label>
        )}
        <nav aria-label="Views">
          {views.map((of, i) => (
            <a
              key={of}
              href={`#${of}`}
              aria-current={of === view ? 'page' : undefined}
              title={`Key ${i + 1}`}
            >
              {viewNames[of]}
              {of === 'findings' && <Badge model={model} />}
            </a>
          ))}
        </nav>
      </header>
      <main id="main" ref={main} tabIndex={-1} key={number}>
        {view === 'overview' && (
          <Overview
            model={model}
            search={
              hasPlaces
                ? (text) => {
                    setSearch(text);
                    go('keys');
                  }
                : undefined
            }
          />
        )}
        {view === 'map' && (
          <TextMap
            model={model}
            open={(control) => {
              setSearch('');
              setOpened(control);
              go('keys');
            }}
          />
        )}
        {view === 'keys' && (
          <Keys
            {...{ model, search, setSearch, opened }}
            open={setOpened}
            play={(control) => {
              setSwitchSearch(model.controlName(model.boot.controls[control]!));
              go('boot');
            }}
          />
        )}
        {view === 'boot' && (
          <Boot
            model={model}
            chosen={chosen[number] ?? nothingChosen}
            setChosen={(made) => setChosen(chosen.map((of, i) => (i === number ? made : of)))}
            search={switchSearch}
            setSearch={setSwitchSearch}
          />
        )}
        {view === 'builds' && data.builds && <Builds builds={data.builds} />}
        {view === 'findings' && model.data.findings && <Findings findings={model.data.findings} />}
      </main>
      <footer>
        <p>
          Made by textpoke {data.version}. Keys: <kbd>1</kbd> to <kbd>{views.length}</kbd> change the view,{' '}
          <kbd>/</kbd> searches, <kbd>Esc</kbd> closes.
        </p>
        <details>
          <summary>Licences of what this page is made with</summary>
          <pre tabIndex={0} aria-label="Licences">
            {licences}
          </pre>
        </details>
      </footer>
    </>
  );
}

const types = { rel: 'relocatable object', exec: 'executable', dyn: 'shared object or PIE' } as const;

function Badge({ model }: { model: ImageModel }) {
  const { errors = 0, warnings = 0 } = model.data.findings ?? {};
  return (
    <span class={`count-badge ${errors > 0 ? 'error' : warnings > 0 ? 'warning' : ''}`}>
      {' '}
      {countText(errors + warnings)}
    </span>
  );
}
