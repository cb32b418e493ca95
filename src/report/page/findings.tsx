// What verify found, a cause at a time.
import { printable } from '../../errors.ts';
import type { CauseData, FindingsData } from '../data.ts';
import { countOf, countText, spaced } from './model.ts';
import { Command, Name } from './parts.tsx';
import { DataTable } from './table.tsx';

export function Findings({ findings }: { findings: FindingsData }) {
  const { about, errors, warnings, suppressed, explanation, causes } = findings;
  const counts = [countOf(errors, 'error'), countOf(warnings, 'warning')];
  if (suppressed > 0) counts.push(`${countText(suppressed)} suppressed`);
  const numbers = new Map<string, number>();
  return (
    <div class="findings">
      <p class="lead">
        {causes.length === 0 ? 'Nothing is wrong' : counts.join(', ')}.{' '}
        <span class="quiet">{printable(about)}</span>
      </p>
      {explanation && (
        <>
          <p class="note">{printable(explanation.text)}</p>
          <Command text={printable(explanation.command)} />
        </>
      )}
      {causes.map((cause, i) => {
        const number = (numbers.get(cause.rule) ?? 0) + 1;
        numbers.set(cause.rule, number);
        return <CauseCard key={i} cause={cause} number={number} isOpen={i === 0} />;
      })}
    </div>
  );
}

/** `number` counts the causes of a rule. */
function CauseCard({ cause, number, isOpen }: { cause: CauseData; number: number; isOpen: boolean }) {
  const { rule, name, severity, summary, isExplained, count, findings } = cause;
  const [first] = findings;
  return (
    <details class="card rule" open={isOpen}>
      <summary>
        <span class={`badge ${severity}`}>{severity}</span> <strong>{rule}</strong> {name}{' '}
        <span class="quiet">
          {countText(count)}
          {isExplained && ', explained above'}
        </span>
        <span class="summary">{summary}</span>
        <span class="summary">{first ? printable(first.message) : 'other causes'}</span>
      </summary>
      {findings.length > 0 && (
        <DataTable
          label={`Findings of ${rule}${number > 1 ? `, cause ${number}` : ''}`}
          className="short"
          rowHeight={54}
          count={findings.length}
          empty=""
          columns={[
            { title: 'Place', width: 'minmax(0, 1fr)' },
            { title: 'What is wrong', width: 'minmax(0, 1.6fr)' },
            { title: 'Found, expected', width: 'minmax(0, 1fr)', isMinor: true },
          ]}
          rowKey={(row) => row}
          cells={(row) => {
            const finding = findings[row];
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
      )}
      {count > findings.length && (
        <p class="quiet">
          and {countText(count - findings.length)} more, which textpoke verify --format json lists
        </p>
      )}
    </details>
  );
}
