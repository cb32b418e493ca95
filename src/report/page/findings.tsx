// What verify found, a rule at a time.
import { printable } from '../../errors.ts';
import type { FindingsData } from '../data.ts';
import { countOf, countText, spaced } from './model.ts';
import { Name } from './parts.tsx';
import { DataTable } from './table.tsx';

export function Findings({ findings }: { findings: FindingsData }) {
  const { about, errors, warnings, suppressed, rules } = findings;
  const counts = [countOf(errors, 'error'), countOf(warnings, 'warning')];
  if (suppressed > 0) counts.push(`${countText(suppressed)} suppressed`);
  return (
    <div class="findings">
      <p class="lead">
        {rules.length === 0 ? 'Nothing is wrong' : counts.join(', ')}.{' '}
        <span class="quiet">{printable(about)}</span>
      </p>
      {rules.map(({ id, name, severity, summary, count, findings: some }, i) => (
        <details class="card rule" key={id} open={i === 0}>
          <summary>
            <span class={`badge ${severity}`}>{severity}</span> <strong>{id}</strong> {name}{' '}
            <span class="quiet">{countText(count)}</span>
            <span class="summary">{summary}</span>
          </summary>
          <DataTable
            label={`Findings of ${id}`}
            className="short"
            rowHeight={54}
            count={some.length}
            empty=""
            columns={[
              { title: 'Place', width: 'minmax(0, 1fr)' },
              { title: 'What is wrong', width: 'minmax(0, 1.6fr)' },
              { title: 'Found, expected', width: 'minmax(0, 1fr)', isMinor: true },
            ]}
            rowKey={(row) => row}
            cells={(row) => {
              const finding = some[row];
              if (!finding) return [];
              return [
                <>
                  <Name>{printable(finding.place)}</Name>
                  <span class="source">
                    <Name>{printable(finding.source ?? finding.address ?? '')}</Name>
                  </span>
                </>,
                <span title={printable(finding.message)}>{printable(finding.message)}</span>,
                <>
                  <code class="bytes">{spaced(finding.found ?? '')}</code>
                  <code class="bytes">{spaced(finding.expected ?? '')}</code>
                </>,
              ];
            }}
          />
          {count > some.length && (
            <p class="quiet">
              and {countText(count - some.length)} more, which textpoke verify --format json lists
            </p>
          )}
        </details>
      ))}
    </div>
  );
}
