// Keys and calls: a table to search and sort, and beside it the places of the one that is open, before and after.
import { useMemo, useState } from 'preact/hooks';
import type { ControlData } from '../data.ts';
import { countOf, countText, hex, type ImageModel } from './model.ts';
import { Bytes, KindMark, Name, SearchBox, Segments } from './parts.tsx';
import { DataTable } from './table.tsx';

/** The number of CPUs decides as a key does; it stands for these places in the table. */
export const cpusControl = -1;

interface Row {
  readonly control: number;
  readonly name: string;
  readonly lower: string;
  readonly what: 'key' | 'call' | 'CPUs';
  readonly state: string;
  readonly places: number;
  readonly init: number;
}

type Order = 'name' | 'state' | 'places' | 'init';

function rowsOf(model: ImageModel): Row[] {
  const initOf = (places: readonly number[]) => places.filter((place) => model.isInit(place)).length;
  const rows = model.boot.controls.map((control, number): Row => {
    const name = model.controlName(control);
    const places = model.placesOf(number);
    const value = control.values[control.initial];
    return {
      ...{ control: number, name, lower: name.toLowerCase(), what: control.what },
      state: value ? model.string(value.name) : '–',
      ...{ places: places.length, init: initOf(places) },
    };
  });
  const free = model.placesOf(cpusControl);
  if (free.length > 0) {
    const name = 'number of CPUs';
    rows.push({
      ...{ control: cpusControl, name, lower: name, what: 'CPUs', state: 'as built' },
      ...{ places: free.length, init: initOf(free) },
    });
  }
  return rows;
}

const whats = [
  { value: 'all', label: 'All' },
  { value: 'key', label: 'Keys' },
  { value: 'call', label: 'Calls' },
] as const;

/** A state that keys may be asked for; calls go to too many functions. */
const stateChoices = [
  { value: 'any', label: 'Any state' },
  { value: 'on', label: 'On' },
  { value: 'off', label: 'Off' },
] as const;

export function Keys({
  model,
  search,
  setSearch,
  opened,
  open,
  play,
}: {
  model: ImageModel;
  search: string;
  setSearch: (text: string) => void;
  opened: number | undefined;
  open: (control: number | undefined) => void;
  play: (control: number) => void;
}) {
  const [what, setWhat] = useState<(typeof whats)[number]['value']>('all');
  const [state, setState] = useState<(typeof stateChoices)[number]['value']>('any');
  const [order, setOrder] = useState<{ by: Order; down: boolean }>({ by: 'places', down: true });
  const all = useMemo(() => rowsOf(model), [model]);
  const rows = useMemo(() => {
    const words = search
      .toLowerCase()
      .split(/\s+/)
      .filter((word) => word !== '');
    const found = all.filter(
      (row) =>
        (what === 'all' || row.what === what) &&
        (state === 'any' || row.state === state) &&
        words.every((word) => row.lower.includes(word)),
    );
    const sign = order.down ? -1 : 1;
    const compare = (a: Row, b: Row) => {
      const [x, y] = [a[order.by], b[order.by]];
      return x < y ? -sign : x > y ? sign : a.name < b.name ? -1 : a.name > b.name ? 1 : 0;
    };
    return found.sort(compare);
  }, [all, search, what, state, order]);
  const column = (by: Order, title: string) => ({
    title,
    sort: () =>
      setOrder((last) => ({ by, down: last.by === by ? !last.down : by !== 'name' && by !== 'state' })),
    sorted: order.by === by ? (order.down ? ('descending' as const) : ('ascending' as const)) : undefined,
  });
  return (
    <div class={`keys${opened === undefined ? '' : ' with-detail'}`}>
      <div class="list">
        <div class="tools">
          <SearchBox label="Search keys and calls" value={search} onChange={setSearch} />
          <Segments label="What is shown" choices={whats} value={what} onChange={setWhat} />
          <Segments label="State after boot" choices={stateChoices} value={state} onChange={setState} />
          <span class="quiet" role="status">
            {countOf(rows.length, 'row')}
          </span>
        </div>
        <DataTable
          label="Keys and calls"
          className="tall"
          rowHeight={34}
          count={rows.length}
          empty="No key or call has such a name and state."
          columns={[
            { ...column('name', 'Name'), width: 'minmax(0, 1fr)' },
            { title: 'Kind', width: '4.2rem', isMinor: true },
            { ...column('state', 'After boot'), width: 'minmax(4.5rem, 0.45fr)' },
            { ...column('places', 'Places'), width: '5rem', isNumber: true },
            { ...column('init', 'Init'), width: '4rem', isNumber: true, isMinor: true },
          ]}
          rowKey={(row) => (rows[row] as Row).control}
          isMarked={(row) => rows[row]?.control === opened}
          cells={(number) => {
            const row = rows[number] as Row;
            return [
              <button
                type="button"
                class="link"
                aria-expanded={row.control === opened}
                onClick={() => open(row.control === opened ? undefined : row.control)}
              >
                <Name>{row.name}</Name>
              </button>,
              row.what,
              <Name>{row.state}</Name>,
              countText(row.places),
              row.init === 0 ? '' : countText(row.init),
            ];
          }}
        />
      </div>
      {opened !== undefined && (
        <Detail key={opened} model={model} number={opened} close={() => open(undefined)} play={play} />
      )}
    </div>
  );
}

/** Two columns of a place: a name, and what stands there then. */
interface Side {
  readonly title: string;
  readonly bytes: (at: number) => string;
  readonly text: (at: number) => string;
}

function Detail({
  model,
  number,
  close,
  play,
}: {
  model: ImageModel;
  number: number;
  close: () => void;
  play: (control: number) => void;
}) {
  const control = model.boot.controls[number];
  const places = model.placesOf(number);
  const choices = useMemo(() => sidesOf(model, control, places), [model, control, places]);
  const [left, setLeft] = useState(0);
  const [right, setRight] = useState(Math.min(1, choices.length - 1));
  const [before, after] = [choices[left] as Side, choices[right] as Side];
  const name = control ? model.controlName(control) : 'number of CPUs';
  const choose = (label: string, value: number, set: (value: number) => void) => (
    <select aria-label={label} value={value} onChange={(event) => set(Number(event.currentTarget.value))}>
      {choices.map(({ title }, i) => (
        <option key={i} value={i}>
          {title}
        </option>
      ))}
    </select>
  );
  return (
    <section class="detail-panel" aria-label={`Places of ${name}`}>
      <header>
        <h2>
          <Name>{name}</Name>
        </h2>
        <p class="quiet">
          {control ? (
            <>
              {control.what === 'key' ? 'static key' : 'static call'} at <code>{hex(control.address)}</code>,{' '}
            </>
          ) : null}
          {countOf(places.length, 'place')}
        </p>
        {control?.refused !== undefined && <p class="note">Boot refuses to change it: {control.refused}</p>}
        <div class="actions">
          {control && control.refused === undefined && (
            <button type="button" onClick={() => play(number)}>
              Switch it in a boot
            </button>
          )}
          <button type="button" onClick={close}>
            Close
          </button>
        </div>
        <div class="sides">
          {choose('Left column', left, setLeft)}
          {choose('Right column', right, setRight)}
        </div>
      </header>
      <DataTable
        label={`Places of ${name}`}
        className="sites"
        rowHeight={82}
        count={places.length}
        empty="It has no place."
        columns={[
          { title: before.title, width: 'minmax(0, 1fr)' },
          { title: after.title, width: 'minmax(0, 1fr)' },
        ]}
        rowKey={(row) => places[row] as number}
        cells={(row) => {
          const place = places[row] as number;
          return [
            <>
              <Where model={model} place={place} />
              <Instruction model={model} place={place} side={before} at={row} against={after.bytes(row)} />
            </>,
            <>
              <Besides model={model} place={place} />
              <Instruction model={model} place={place} side={after} at={row} against={before.bytes(row)} />
            </>,
          ];
        }}
      />
    </section>
  );
}

/** The source of a place, and what the table says of it. */
export function Besides({ model, place }: { model: ImageModel; place: number }) {
  const source = model.source(place);
  return (
    <div class="where second">
      {source !== undefined && <Name title={model.fullSource(place) as string}>{source}</Name>}
      {model.remarks(place).map((remark) => (
        <span class="remark" key={remark}>
          {remark}
        </span>
      ))}
    </div>
  );
}

/** Where a place is: function and offset. */
export function Where({ model, place }: { model: ImageModel; place: number }) {
  return (
    <div class="where">
      <KindMark name={model.kindName(place)} />
      <Name title={`${hex(model.addresses[place] as number)} ${model.placeName(place)}`}>
        {model.placeName(place)}
      </Name>
    </div>
  );
}

function Instruction({
  model,
  place,
  side,
  at,
  against,
}: {
  model: ImageModel;
  place: number;
  side: Side;
  at: number;
  against: string;
}) {
  const { lead, rest } = model.places;
  const part = (number: number) => (number < 0 ? '' : model.bytes(number));
  return (
    <>
      <Bytes
        digits={side.bytes(at)}
        against={against}
        lead={part(lead[place] as number)}
        rest={part(rest[place] as number)}
      />
      <Name>{side.text(at)}</Name>
    </>
  );
}

/** Every state that the places of a control have, and what stands in the file. */
function sidesOf(model: ImageModel, control: ControlData | undefined, places: readonly number[]): Side[] {
  const { built, builtText } = model.places;
  const inFile: Side = {
    title: 'in the file',
    bytes: (at) => model.bytes(built[places[at] as number] as number),
    text: (at) => model.string(builtText[places[at] as number] as number),
  };
  if (!control) return [inFile, ...cpuSides(model, places, inFile)];
  const numberOf = new Map(control.places.map((place, i) => [place, i]));
  const sides = control.values.flatMap((value, number): Side[] => {
    if (value.bytes.length === 0 && control.places.length > 0) return [];
    const name = model.string(value.name);
    const { bytes: all, texts } = (number === control.initial && control.standing) || value;
    const of = (column: readonly number[], at: number) => column[numberOf.get(places[at] as number) ?? -1];
    return [
      {
        title: `${name}${number === control.initial ? ' (after boot)' : ''}`,
        bytes: (at) => {
          const bytes = of(all, at);
          return bytes === undefined ? inFile.bytes(at) : model.bytes(bytes);
        },
        text: (at) => {
          const text = of(texts, at);
          return text === undefined ? `${inFile.text(at)} (not patched)` : model.string(text);
        },
      },
    ];
  });
  return sides.length > 0 ? [...sides, inFile] : [inFile];
}

function cpuSides(model: ImageModel, places: readonly number[], inFile: Side): Side[] {
  return model.boot.cpus.map(({ cpus, places: changed, bytes, texts }): Side => {
    const numberOf = new Map(changed.map((place, i) => [place, i]));
    const at = (row: number) => numberOf.get(places[row] as number);
    return {
      title: cpus === 1 ? 'one CPU' : 'several CPUs',
      bytes: (row) => {
        const number = at(row);
        return number === undefined ? inFile.bytes(row) : model.bytes(bytes[number] as number);
      },
      text: (row) => {
        const number = at(row);
        return number === undefined ? inFile.text(row) : model.string(texts[number] as number);
      },
    };
  });
}
