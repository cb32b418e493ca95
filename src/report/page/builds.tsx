// Two builds: what the new one lost, gained, changed and moved.
import { useMemo, useState } from 'preact/hooks';
import { printable } from '../../errors.ts';
import type { BuildsData, DifferenceData } from '../data.ts';
import { countOf, countText } from './model.ts';
import { Name, SearchBox, Segments, Tile } from './parts.tsx';
import { DataTable } from './table.tsx';

type What = DifferenceData['what'];

interface Row {
  readonly what: What;
  readonly function: string;
  readonly kind: string;
  readonly key: string;
  readonly old: string;
  readonly new: string;
  readonly source: string;
}

function rowsOf({ differences }: BuildsData): Row[] {
  return differences.map(
    ({ what, function: name, kind, key = '', old = '', new: now = '', source = '' }) => ({
      ...{ what, function: printable(name), kind, key: printable(key) },
      ...{ old: printable(old), new: printable(now), source: printable(source) },
    }),
  );
}

export function Builds({ builds }: { builds: BuildsData }) {
  const { old, new: now, same, shifted } = builds;
  const [what, setWhat] = useState<What | 'all'>('all');
  const [search, setSearch] = useState('');
  const all = useMemo(() => rowsOf(builds), [builds]);
  const rows = useMemo(() => {
    const words = search
      .toLowerCase()
      .split(/\s+/)
      .filter((word) => word !== '');
    return all.filter((row) => {
      if (what !== 'all' && row.what !== what) return false;
      const text = `${row.function} ${row.key} ${row.kind} ${row.source}`.toLowerCase();
      return words.every((word) => text.includes(word));
    });
  }, [all, what, search]);
  const count = (of: What) => all.reduce((sum, row) => sum + (row.what === of ? 1 : 0), 0);
  const choices = (['lost', 'gained', 'changed', 'moved'] as const).map((value) => ({
    value,
    label: `${value[0]?.toUpperCase()}${value.slice(1)}`,
  }));
  return (
    <div class="builds">
      <p class="lead">
        From <Name>{printable(old)}</Name> to <Name>{printable(now)}</Name>. Places are told apart by
        function, kind, key and order, not by address.
      </p>
      <dl class="tiles">
        <Tile value={countText(count('lost'))} label="lost" />
        <Tile value={countText(count('gained'))} label="gained" />
        <Tile value={countText(count('changed'))} label="changed" />
        <Tile value={countText(count('moved'))} label="moved" detail="in their functions, or to other ones" />
        <Tile value={countText(shifted)} label="shifted" detail="with the function that holds them" />
        <Tile value={countText(same)} label="where they were" />
      </dl>
      <div class="tools">
        <SearchBox label="Search functions, keys and sources" value={search} onChange={setSearch} />
        <Segments
          label="What is shown"
          choices={[{ value: 'all' as const, label: 'All' }, ...choices]}
          value={what}
          onChange={setWhat}
        />
        <span class="quiet" role="status">
          {countOf(rows.length, 'row')}
        </span>
      </div>
      <DataTable
        label="Differences"
        className="tall"
        rowHeight={32}
        count={rows.length}
        empty="There is no such difference."
        columns={[
          { title: '', width: '5.5rem' },
          { title: 'Function', width: 'minmax(0, 1fr)' },
          { title: 'Kind', width: '8rem', isMinor: true },
          { title: 'Key', width: 'minmax(0, 1fr)' },
          { title: 'Old', width: 'minmax(0, 1fr)', isMinor: true },
          { title: 'New', width: 'minmax(0, 1fr)', isMinor: true },
          { title: 'Source', width: 'minmax(0, 1fr)', isMinor: true },
        ].map((column, i) => (i === 0 ? { ...column, title: 'What' } : column))}
        rowKey={(row) => row}
        cells={(number) => {
          const row = rows[number] as Row;
          return [
            <span class={`badge ${row.what}`}>{row.what}</span>,
            <Name>{row.function}</Name>,
            row.kind,
            <Name>{row.key}</Name>,
            <Name>{row.old}</Name>,
            <Name>{row.new}</Name>,
            <Name>{row.source}</Name>,
          ];
        }}
      />
    </div>
  );
}
