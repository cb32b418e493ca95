// Small parts that several views show.
import type { ComponentChildren } from 'preact';
import { useState } from 'preact/hooks';
import { countText } from './model.ts';

/** A name from a file, which may run in either direction and be of any length. */
export function Name({ children, title }: { children: string; title?: string }) {
  return (
    <bdi class="name" title={title ?? children}>
      {children}
    </bdi>
  );
}

export interface BytesProps {
  /** Hexadecimal digits. */
  readonly digits: string;
  /** Bytes that differ from these are marked. */
  readonly against?: string | undefined;
  /** Of the same instruction, in front and behind. */
  readonly lead?: string | undefined;
  readonly rest?: string | undefined;
}

/** Bytes two digits each; what differs is marked by colour and by a line. */
export function Bytes({ digits, against, lead = '', rest = '' }: BytesProps) {
  return (
    <code class="bytes">
      {lead && <span class="around">{`${lead.replace(/../g, '$& ')}`}</span>}
      {runsOf(digits, against).map(({ text, differs }, i) =>
        differs ? <mark key={i}>{text}</mark> : <span key={i}>{text}</span>,
      )}
      {rest && <span class="around">{rest.replace(/../g, ' $&')}</span>}
    </code>
  );
}

/** Bytes that differ, and bytes that do not, in turn; a space between two belongs to what is the same. */
function runsOf(digits: string, against: string | undefined): { text: string; differs: boolean }[] {
  const runs: { text: string; differs: boolean }[] = [];
  for (let at = 0; at < digits.length; at += 2) {
    const pair = digits.slice(at, at + 2);
    const differs = against !== undefined && against.slice(at, at + 2) !== pair;
    const last = runs.at(-1);
    if (last?.differs === differs) last.text += ` ${pair}`;
    else if (last && !differs) runs.push({ text: ` ${pair}`, differs });
    else {
      if (last) last.text += ' ';
      runs.push({ text: pair, differs });
    }
  }
  return runs;
}

/** Where a kind's colour stands beside its name. */
export function KindMark({ name }: { name: string }) {
  return <span class={`kind-mark kind-${name.replaceAll(' ', '-')}`} aria-hidden="true" />;
}

export function Kind({ name }: { name: string }) {
  return (
    <span class="kind">
      <KindMark name={name} />
      {name}
    </span>
  );
}

export function Tile({ value, label, detail }: { value: string; label: string; detail?: ComponentChildren }) {
  return (
    <div class="tile">
      <dd>{value}</dd>
      <dt>{label}</dt>
      {detail && <dd class="detail">{detail}</dd>}
    </div>
  );
}

export interface Bar {
  readonly name: string;
  readonly value: number;
  readonly detail?: string | undefined;
  readonly open?: (() => void) | undefined;
}

/** Names with bars: who has the most of something. */
export function BarList({ label, bars }: { label: string; bars: readonly Bar[] }) {
  const most = bars.reduce((largest, { value }) => Math.max(largest, value), 1);
  return (
    <ol class="bars" aria-label={label}>
      {bars.map(({ name, value, detail, open }, i) => (
        <li key={i}>
          {open ? (
            <button type="button" class="link" onClick={open}>
              <Name>{name}</Name>
            </button>
          ) : (
            <Name>{name}</Name>
          )}
          <span class="value">
            {countText(value)}
            {detail && <span class="detail"> {detail}</span>}
          </span>
          <span class="bar" aria-hidden="true">
            <span style={{ width: `${(100 * value) / most}%` }} />
          </span>
        </li>
      ))}
    </ol>
  );
}

export interface Choice<T> {
  readonly value: T;
  readonly label: string;
}

/** One of a few, as buttons in a row. */
export function Segments<T extends string | number | undefined>({
  label,
  choices,
  value,
  onChange,
}: {
  label: string;
  choices: readonly Choice<T>[];
  value: T;
  onChange: (value: T) => void;
}) {
  return (
    <fieldset class="segments">
      <legend class="hidden">{label}</legend>
      {choices.map((choice) => (
        <button
          type="button"
          key={String(choice.value)}
          aria-pressed={choice.value === value}
          onClick={() => onChange(choice.value)}
        >
          {choice.label}
        </button>
      ))}
    </fieldset>
  );
}

export function SearchBox({
  label,
  value,
  onChange,
}: {
  label: string;
  value: string;
  onChange: (value: string) => void;
}) {
  return (
    <input
      type="search"
      class="search"
      placeholder={label}
      aria-label={label}
      value={value}
      onInput={(event) => onChange(event.currentTarget.value)}
    />
  );
}

/** A command line, which a button copies. */
export function Command({ text }: { text: string }) {
  const [copied, setCopied] = useState(false);
  return (
    <div class="command">
      <code>
        {text.split(' ').map((word, i) => (
          <span key={i}>{i === 0 ? word : ` ${word}`}</span>
        ))}
      </code>
      <button
        type="button"
        onClick={() => {
          void navigator.clipboard?.writeText(text).then(() => setCopied(true));
        }}
      >
        {copied ? 'Copied' : 'Copy'}
      </button>
    </div>
  );
}
