// What there is to say first: the summary of dump, as tiles, tables and bars.

import type { SiteGroup } from '../../dump/summary.ts';
import { printable } from '../../errors.ts';
import { countOf, countText, type ImageModel, sizeText } from './model.ts';
import { BarList, Tile } from './parts.tsx';

/** Rows of a list of names. */
const mostBars = 12;

const tableNames: Readonly<Record<string, string>> = {
  jumpTable: 'static branches',
  staticCallSites: 'static calls',
  smpLocks: 'locks',
  keptLocks: 'kept locks',
  smpBarriers: 'barriers',
  altSmp: 'sites for one CPU',
  trampolineKeys: 'trampoline keys',
};

/** What a key begins as, and how to say it. */
const stateNames: Readonly<Record<string, string>> = {
  on: 'on',
  off: 'off',
  function: 'calls a function',
  null: 'calls nothing (NULL)',
  'return 0': 'returns 0',
  elsewhere: 'in another object',
  unknown: 'unknown',
};
const stateOrder = Object.keys(stateNames);

export function Overview({
  model,
  search,
}: {
  model: ImageModel;
  search: ((text: string) => void) | undefined;
}) {
  const { summary, notes } = model.data;
  const { text, tables, counts, states } = summary;
  const share = text.bytes > 0 ? (100 * text.patchableBytes) / text.bytes : 0;
  return (
    <div class="overview-view">
      <p class="lead">
        {countOf(text.sites, 'place')} in {sizeText(text.bytes)} of code can be patched.{' '}
        {countOf(counts.keys, 'key')} and the number of CPUs decide what stands there.
      </p>
      {notes.map((note, i) => (
        <p class="note" key={i}>
          {printable(note)}
        </p>
      ))}
      <dl class="tiles">
        <Tile
          value={countText(text.sites)}
          label="places"
          detail={`${countText(text.initSites)} in init text`}
        />
        <Tile
          value={share < 0.1 ? `${share.toFixed(2)} %` : `${share.toFixed(1)} %`}
          label="of the code can be patched"
          detail={`${countOf(text.patchableBytes, 'byte')}`}
        />
        <Tile value={countText(counts.keys)} label="keys and calls" />
        <Tile value={countText(counts.functions)} label="functions with places" />
      </dl>
      <div class="overview">
        <section class="card">
          <h2>Tables</h2>
          <table class="plain">
            <thead>
              <tr>
                <th scope="col">Table</th>
                <th scope="col" class="number">
                  Entries
                </th>
                <th scope="col" class="number">
                  Keys
                </th>
                <th scope="col" class="number">
                  In init text
                </th>
                <th scope="col" class="number minor">
                  Size
                </th>
              </tr>
            </thead>
            <tbody>
              {tables.map((table) => (
                <tr key={table.table}>
                  <th scope="row">
                    {tableNames[table.table] ?? table.table}{' '}
                    <code class="minor">{printable(table.section)}</code>
                    {table.malformed > 0 && (
                      <strong class="bad"> {countText(table.malformed)} malformed</strong>
                    )}
                  </th>
                  <td class="number">{countText(table.entries)}</td>
                  <td class="number">{table.keys === undefined ? '–' : countText(table.keys)}</td>
                  <td class="number">{countText(table.initSites)}</td>
                  <td class="number minor">{sizeText(table.bytes)}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </section>
        <section class="card">
          <h2>How keys and calls begin</h2>
          <States states={states} />
        </section>
        <Groups title="Keys with the most places" groups={summary.keys} total={counts.keys} open={search} />
        <Groups title="Functions with the most places" groups={summary.functions} total={counts.functions} />
        <Groups title="Source files with the most places" groups={summary.files} total={counts.files} />
        <Groups title="Sections" groups={summary.sections} total={counts.sections} />
      </div>
    </div>
  );
}

function States({ states }: { states: Readonly<Record<string, number>> }) {
  const known = stateOrder.filter((state) => (states[state] ?? 0) > 0);
  const total = known.reduce((sum, state) => sum + (states[state] as number), 0);
  if (total === 0) return <p class="quiet">No table names a key.</p>;
  return (
    <>
      <div class="share" aria-hidden="true">
        {known.map((state) => (
          <span
            key={state}
            class={`state-${state.replaceAll(' ', '-')}`}
            style={{ flexGrow: states[state] as number }}
          />
        ))}
      </div>
      <ul class="legend">
        {known.map((state) => (
          <li key={state}>
            <span class={`dot state-${state.replaceAll(' ', '-')}`} aria-hidden="true" />
            {stateNames[state]} <strong>{countText(states[state] as number)}</strong>
          </li>
        ))}
      </ul>
    </>
  );
}

function Groups({
  title,
  groups,
  total,
  open,
}: {
  title: string;
  groups: readonly SiteGroup[];
  total: number;
  open?: ((name: string) => void) | undefined;
}) {
  if (groups.length === 0) return null;
  const shown = groups.slice(0, mostBars);
  return (
    <section class="card">
      <h2>{title}</h2>
      <BarList
        label={title}
        bars={shown.map(({ name, sites }) => ({
          name: printable(name),
          value: sites,
          open: open && (() => open(printable(name))),
        }))}
      />
      {total > shown.length && <p class="quiet">and {countText(total - shown.length)} more</p>}
    </section>
  );
}
