// A map of text: each section is a strip, on which every pixel says how many places of each kind lie there. The one that is
// chosen can be zoomed and walked through, and a table has the places that it shows.
import { scaleLinear } from 'd3-scale';
import { select } from 'd3-selection';
import { type ZoomBehavior, type ZoomTransform, zoom, zoomIdentity } from 'd3-zoom';
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from 'preact/hooks';
import { printable } from '../../errors.ts';
import type { SectionData } from '../data.ts';
import { countOf, countText, hex, type ImageModel, sizeText } from './model.ts';
import { Bytes, Kind, KindMark, Name } from './parts.tsx';
import { DataTable } from './table.tsx';

/** Pixels from the pointer within which a place is found. */
const reach = 6;
/** Pixels that a byte takes at most. */
const largestByte = 24;

interface Strip {
  readonly section: SectionData;
  /** Its places: numbers from the first to the one behind the last. */
  readonly from: number;
  readonly to: number;
}

function stripsOf(model: ImageModel): Strip[] {
  return model.data.sections.map((section) => ({
    section,
    from: model.firstFrom(section.address),
    to: model.firstFrom(section.address + section.size),
  }));
}

const sizeOf = (strip: Strip | undefined) => (strip ? strip.to - strip.from : 0);

/** Draws again when colours change: light, dark, or on paper. */
function useColours(): number {
  const [version, setVersion] = useState(0);
  useEffect(() => {
    const queries = ['(prefers-color-scheme: dark)', '(forced-colors: active)', 'print'].map((text) =>
      matchMedia(text),
    );
    const change = () => setVersion((last) => last + 1);
    for (const query of queries) query.addEventListener('change', change);
    return () => {
      for (const query of queries) query.removeEventListener('change', change);
    };
  }, []);
  return version;
}

function useWidth(element: { readonly current: HTMLElement | null }): number {
  const [width, setWidth] = useState(0);
  useLayoutEffect(() => {
    const target = element.current;
    if (!target) return;
    setWidth(target.clientWidth);
    const observer = new ResizeObserver(() => setWidth(target.clientWidth));
    observer.observe(target);
    return () => observer.disconnect();
  }, [element]);
  return width;
}

interface View {
  readonly start: number;
  readonly end: number;
}

/** Paints a strip: init text hatched, and a bar of the kinds' colours for each pixel that has places. */
function paint(
  canvas: HTMLCanvasElement,
  model: ImageModel,
  { from, to }: Strip,
  { start, end }: View,
  width: number,
  height: number,
  hidden: ReadonlySet<number>,
  cursor: number | undefined,
): void {
  const ratio = window.devicePixelRatio || 1;
  canvas.width = Math.max(1, Math.round(width * ratio));
  canvas.height = Math.round(height * ratio);
  const context = canvas.getContext('2d');
  if (!context || width === 0) return;
  context.scale(ratio, ratio);
  const style = getComputedStyle(canvas);
  const colour = (name: string) => style.getPropertyValue(name).trim();
  context.fillStyle = colour('--strip');
  context.fillRect(0, 0, width, height);
  const scale = scaleLinear([start, end], [0, width]);
  context.fillStyle = colour('--init');
  for (const [address, size] of model.data.init) {
    const [left, right] = [Math.max(0, scale(address)), Math.min(width, scale(address + size))];
    if (right <= left) continue;
    context.save();
    context.beginPath();
    context.rect(left, 0, right - left, height);
    context.clip();
    context.fillRect(left, 0, right - left, height);
    context.strokeStyle = colour('--init-line');
    context.beginPath();
    for (let x = left - height; x < right; x += 9) {
      context.moveTo(x, height);
      context.lineTo(x + height, 0);
    }
    context.stroke();
    context.restore();
  }
  const { kinds } = model.data;
  const columns = Math.max(1, Math.ceil(width));
  const counts = kinds.map(() => new Uint32Array(columns));
  const totals = new Uint32Array(columns);
  const first = Math.max(from, model.firstFrom(start));
  const last = Math.min(to, model.firstFrom(end));
  let most = 1;
  for (let place = first; place < last; place++) {
    const kind = model.places.kind[place] as number;
    if (hidden.has(kind)) continue;
    const x = Math.min(columns - 1, Math.max(0, Math.floor(scale(model.addresses[place] as number))));
    (counts[kind] as Uint32Array)[x]! += 1;
    totals[x]! += 1;
    most = Math.max(most, totals[x] as number);
  }
  // At most a pixel a byte, places are as wide as their bytes.
  const perByte = width / (end - start);
  const room = height - 3;
  for (let x = 0; x < columns; x++) {
    const total = totals[x] as number;
    if (total === 0) continue;
    const tall = Math.max(4, room * Math.sqrt(total / most));
    let y = height;
    kinds.forEach(({ name }, kind) => {
      const count = (counts[kind] as Uint32Array)[x] as number;
      if (count === 0) return;
      const part = (tall * count) / total;
      y -= part;
      context.fillStyle = colour(`--kind-${name.replaceAll(' ', '-')}`);
      context.fillRect(x, y, Math.max(1, perByte), part);
    });
  }
  if (cursor !== undefined && cursor >= first && cursor < last) {
    const x = scale(model.addresses[cursor] as number);
    context.fillStyle = colour('--text');
    context.fillRect(x - 1, 0, 2, height);
  }
}

export function TextMap({ model, open }: { model: ImageModel; open: (control: number) => void }) {
  const all = useMemo(() => stripsOf(model), [model]);
  const strips = all.filter(({ from, to }) => to > from);
  const without = all.length - strips.length;
  const [chosen, setChosen] = useState(0);
  const [hidden, setHidden] = useState<ReadonlySet<number>>(new Set());
  const most = strips.reduce(
    (largest, { from, to }, i) => (to - from > sizeOf(strips[largest]) ? i : largest),
    0,
  );
  const [isFirst, setFirst] = useState(true);
  const number = isFirst ? most : chosen;
  const strip = strips[number];
  if (!strip) return <p class="card">No code of this image has a place.</p>;
  const toggle = (kind: number) => {
    const next = new Set(hidden);
    if (!next.delete(kind)) next.add(kind);
    setHidden(next);
  };
  return (
    <div class="map">
      <fieldset class="legend-buttons">
        <legend class="hidden">Kinds that are shown</legend>
        {model.data.kinds.map(({ name, plural, count }, kind) => (
          <button type="button" key={name} aria-pressed={!hidden.has(kind)} onClick={() => toggle(kind)}>
            <KindMark name={name} />
            {plural} <span class="quiet">{countText(count)}</span>
          </button>
        ))}
        {model.data.init.length > 0 && (
          <span class="init-key">
            <span class="init-mark" aria-hidden="true" /> init text
          </span>
        )}
      </fieldset>
      <ul class="strips" aria-label="Sections">
        {strips.map((of, i) => (
          <li key={i}>
            <SmallStrip
              model={model}
              strip={of}
              hidden={hidden}
              isChosen={i === number}
              choose={() => {
                setFirst(false);
                setChosen(i);
              }}
            />
          </li>
        ))}
      </ul>
      {without > 0 && (
        <p class="quiet">
          {countOf(without, 'section')} without a place {without === 1 ? 'is' : 'are'} left out.
        </p>
      )}
      <LargeStrip key={number} model={model} strip={strip} hidden={hidden} open={open} />
    </div>
  );
}

function SmallStrip({
  model,
  strip,
  hidden,
  isChosen,
  choose,
}: {
  model: ImageModel;
  strip: Strip;
  hidden: ReadonlySet<number>;
  isChosen: boolean;
  choose: () => void;
}) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const holder = useRef<HTMLButtonElement>(null);
  const width = useWidth(holder);
  const colours = useColours();
  const { section, from, to } = strip;
  const view = { start: section.address, end: section.address + section.size };
  useLayoutEffect(() => {
    if (canvas.current) paint(canvas.current, model, strip, view, width, 26, hidden, undefined);
  }, [model, section, width, hidden, colours]);
  return (
    <button type="button" class="strip" ref={holder} aria-pressed={isChosen} onClick={choose}>
      <span class="strip-name">
        <Name>{printable(section.name)}</Name>
        <span class="quiet">
          {sizeText(section.size)}, {countOf(to - from, 'place')}
        </span>
      </span>
      <canvas ref={canvas} style={{ width: '100%', height: '26px' }} />
    </button>
  );
}

function LargeStrip({
  model,
  strip,
  hidden,
  open,
}: {
  model: ImageModel;
  strip: Strip;
  hidden: ReadonlySet<number>;
  open: (control: number) => void;
}) {
  const holder = useRef<HTMLDivElement>(null);
  const canvas = useRef<HTMLCanvasElement>(null);
  const behaviour = useRef<ZoomBehavior<HTMLDivElement, unknown>>(undefined);
  const width = useWidth(holder);
  const colours = useColours();
  const { section } = strip;
  const [transform, setTransform] = useState<ZoomTransform>(zoomIdentity);
  const [cursor, setCursor] = useState<number>();
  const base = scaleLinear([section.address, section.address + section.size], [0, Math.max(1, width)]);
  const scale = transform.rescaleX(base);
  const [start, end] = scale.domain() as [number, number];
  const height = 120;

  useEffect(() => {
    const element = holder.current;
    if (!element || width === 0) return;
    const most = Math.max(1, (section.size * largestByte) / width);
    const made = zoom<HTMLDivElement, unknown>()
      .scaleExtent([1, most])
      .extent([
        [0, 0],
        [width, height],
      ])
      .translateExtent([
        [0, 0],
        [width, height],
      ])
      // A wheel scrolls the page, unless the strip has the focus or a key says that it is meant.
      .filter((event: Event & { ctrlKey?: boolean; metaKey?: boolean; button?: number }) =>
        event.type === 'wheel'
          ? event.ctrlKey || event.metaKey || document.activeElement === element
          : !event.button,
      )
      .on('zoom', (event: { transform: ZoomTransform }) => setTransform(event.transform));
    behaviour.current = made;
    const selection = select(element);
    selection.call(made);
    return () => {
      selection.on('.zoom', null);
    };
  }, [section, width]);

  useLayoutEffect(() => {
    if (canvas.current) paint(canvas.current, model, strip, { start, end }, width, height, hidden, cursor);
  }, [model, section, start, end, width, hidden, cursor, colours]);

  const by = (action: (made: ZoomBehavior<HTMLDivElement, unknown>) => void) => {
    if (behaviour.current && holder.current) action(behaviour.current);
  };
  const target = () => select(holder.current as HTMLDivElement);
  const zoomBy = (factor: number) => by((made) => made.scaleBy(target(), factor));
  const move = (pixels: number) => by((made) => made.translateBy(target(), pixels / transform.k, 0));
  const whole = () => by((made) => made.transform(target(), zoomIdentity));
  const shown = useMemo(() => {
    const numbers: number[] = [];
    const last = Math.min(strip.to, model.firstFrom(end));
    for (let place = Math.max(strip.from, model.firstFrom(start)); place < last; place++)
      if (!hidden.has(model.places.kind[place] as number)) numbers.push(place);
    return numbers;
  }, [model, strip, start, end, hidden]);

  /** Walks from place to place; the strip follows. */
  const walk = (step: 1 | -1) => {
    if (shown.length === 0) return;
    const at = cursor === undefined ? -1 : shown.indexOf(cursor);
    const beyond = at < 0 ? (step > 0 ? 0 : shown.length - 1) : at + step;
    const next = shown[beyond] ?? neighbour(cursor as number, step);
    if (next === undefined) return;
    setCursor(next);
    const x = scale(model.addresses[next] as number);
    if (x < 0 || x > width)
      by((made) => made.translateTo(target(), base(model.addresses[next] as number), 0));
  };
  const neighbour = (from: number, step: 1 | -1): number | undefined => {
    for (let place = from + step; place >= strip.from && place < strip.to; place += step)
      if (!hidden.has(model.places.kind[place] as number)) return place;
    return undefined;
  };
  const nearest = (x: number): number | undefined => {
    let found: number | undefined;
    let distance = reach;
    const from = model.firstFrom(scale.invert(x - reach));
    for (let place = Math.max(strip.from, from); place < strip.to; place++) {
      const left = scale(model.addresses[place] as number);
      if (left > x + reach) break;
      if (hidden.has(model.places.kind[place] as number) || Math.abs(left - x) >= distance) continue;
      distance = Math.abs(left - x);
      found = place;
    }
    return found;
  };
  const keys: Readonly<Record<string, () => void>> = {
    ArrowRight: () => walk(1),
    ArrowLeft: () => walk(-1),
    '+': () => zoomBy(2),
    '=': () => zoomBy(2),
    '-': () => zoomBy(0.5),
    PageDown: () => move(-width * 0.8),
    PageUp: () => move(width * 0.8),
    Home: whole,
    Enter: () => {
      const control = cursor === undefined ? undefined : model.places.control[cursor];
      if (control !== undefined) open(control);
    },
  };
  const ticks = roundAddresses(start, end, Math.max(2, Math.floor(width / 190)));
  return (
    <section class="large" aria-label={`Map of ${printable(section.name)}`}>
      <div class="tools">
        <h2>
          <Name>{printable(section.name)}</Name>
        </h2>
        <button type="button" onClick={() => zoomBy(2)} aria-label="Zoom in">
          +
        </button>
        <button type="button" onClick={() => zoomBy(0.5)} aria-label="Zoom out">
          −
        </button>
        <button type="button" onClick={() => move(width * 0.5)} aria-label="Towards the start">
          ‹
        </button>
        <button type="button" onClick={() => move(-width * 0.5)} aria-label="Towards the end">
          ›
        </button>
        <button type="button" onClick={whole}>
          Whole section
        </button>
        <span class="quiet hint">
          Scroll or pinch to zoom once the strip has the focus; arrow keys go from place to place.
        </span>
      </div>
      <div
        class="canvas"
        ref={holder}
        role="application"
        aria-roledescription="map"
        aria-label={`${printable(section.name)}: ${countOf(shown.length, 'place')} in view. Arrow keys go from place to place, plus and minus zoom, Enter opens the key.`}
        tabIndex={0}
        onPointerMove={(event) => {
          const { left } = event.currentTarget.getBoundingClientRect();
          const found = nearest(event.clientX - left);
          if (found !== undefined) setCursor(found);
        }}
        onKeyDown={(event) => {
          const action = keys[event.key];
          if (!action || event.ctrlKey || event.metaKey || event.altKey) return;
          event.preventDefault();
          action();
        }}
      >
        <canvas ref={canvas} style={{ width: '100%', height: `${height}px` }} />
      </div>
      <div class="axis" aria-hidden="true">
        {ticks
          .map((tick) => ({ tick, x: scale(tick) }))
          .filter(({ x }) => x > 60 && x < width - 60)
          .map(({ tick, x }) => (
            <span key={tick} style={{ left: `${x}px` }}>
              {hex(tick)}
            </span>
          ))}
      </div>
      <Readout model={model} place={cursor} open={open} />
      <DataTable
        label={`Places of ${printable(section.name)} in view`}
        className="tall"
        rowHeight={30}
        count={shown.length}
        empty="No place lies here."
        showRow={cursor === undefined ? undefined : indexOf(shown, cursor)}
        columns={[
          { title: 'Address', width: '11.5rem', isMinor: true },
          { title: 'Place', width: 'minmax(0, 1.3fr)' },
          { title: 'Kind', width: '9rem' },
          ...(model.hasSources ? [{ title: 'Source', width: 'minmax(0, 1fr)', isMinor: true }] : []),
          { title: 'In the file', width: 'minmax(0, 1.2fr)' },
        ]}
        rowKey={(row) => shown[row] as number}
        isMarked={(row) => shown[row] === cursor}
        onHover={(row) => {
          if (row !== undefined) setCursor(shown[row]);
        }}
        cells={(row) => {
          const place = shown[row] as number;
          const control = model.places.control[place] as number;
          const name = <Name>{model.placeName(place)}</Name>;
          return [
            <code>{hex(model.addresses[place] as number)}</code>,
            model.boot.controls[control] ? (
              <button type="button" class="link" onClick={() => open(control)}>
                {name}
              </button>
            ) : (
              name
            ),
            <Kind name={model.kindName(place)} />,
            ...(model.hasSources ? [<Name>{model.source(place) ?? ''}</Name>] : []),
            <Name>{model.string(model.places.builtText[place] as number)}</Name>,
          ];
        }}
      />
    </section>
  );
}

/** Some addresses between two that end in zeros, at most so many. */
function roundAddresses(start: number, end: number, most: number): number[] {
  let step = 16;
  while ((end - start) / step > most) step *= 2;
  const ticks: number[] = [];
  for (let tick = Math.ceil(start / step) * step; tick < end; tick += step) ticks.push(tick);
  return ticks;
}

/** The place of a number in an ascending list; undefined where it is not there. */
function indexOf(ascending: readonly number[], number: number): number | undefined {
  let [low, high] = [0, ascending.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((ascending[middle] as number) < number) low = middle + 1;
    else high = middle;
  }
  return ascending[low] === number ? low : undefined;
}

/** What is known of the place under the pointer: one line that stays where it is. */
function Readout({
  model,
  place,
  open,
}: {
  model: ImageModel;
  place: number | undefined;
  open: (control: number) => void;
}) {
  if (place === undefined) return <p class="readout quiet">Point at a place to see what it is.</p>;
  const control = model.places.control[place] as number;
  const known = model.boot.controls[control];
  const { lead, rest, built, builtText } = model.places;
  const part = (number: number) => (number < 0 ? '' : model.bytes(number));
  return (
    <div class="readout" aria-live="polite">
      <Kind name={model.kindName(place)} />
      <Name>{model.placeName(place)}</Name>
      {model.source(place) !== undefined && <Name>{model.source(place) as string}</Name>}
      <Bytes
        digits={model.bytes(built[place] as number)}
        lead={part(lead[place] as number)}
        rest={part(rest[place] as number)}
      />
      <Name>{model.string(builtText[place] as number)}</Name>
      <span class="quiet">{model.remarks(place).join(', ')}</span>
      {known && (
        <button type="button" class="link" onClick={() => open(control)}>
          <Name>{model.controlName(known)}</Name>
        </button>
      )}
    </div>
  );
}
