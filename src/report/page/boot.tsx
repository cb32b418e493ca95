// A boot to play with: how many CPUs, which keys, which calls; and every write of it, one by one.
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { printable } from '../../errors.ts';
import type { ControlData } from '../data.ts';
import { Besides, Where } from './keys.tsx';
import { countOf, countText, hex, type ImageModel, spaced } from './model.ts';
import { Bytes, Command, Name, SearchBox, Segments } from './parts.tsx';
import { commandOf, needsScenario, Play, type Step, scenarioName, type Write } from './play.ts';
import { readScenario, scenarioText } from './scenario.ts';
import { DataTable } from './table.tsx';

/** What is chosen; it lives above the views, so that it is there again when one comes back. */
export interface Chosen {
  readonly cpus: number | undefined;
  readonly steps: readonly Step[];
}

const cpuChoices = [
  { value: undefined, label: 'As built' },
  { value: 1, label: 'One CPU' },
  { value: 2, label: 'Several' },
] as const;

interface Stage {
  readonly title: string;
  readonly writes: readonly Write[];
}

function replay(model: ImageModel, { cpus, steps }: Chosen) {
  const play = new Play(model.data, model.addresses, cpus);
  const stages: Stage[] = [{ title: 'start-up', writes: play.start }];
  for (const step of steps) {
    const control = model.boot.controls[step.control] as ControlData;
    const value = () => model.string(control.values[step.value]?.name ?? 0);
    const change = step.by
      ? `${step.by}, count ${step.value}`
      : control.what === 'key'
        ? value()
        : `= ${value()}`;
    const title = `${model.controlName(control)} ${change}`;
    stages.push({ title, writes: play.apply(step) });
  }
  return { play, stages };
}

export function Boot({
  model,
  chosen,
  setChosen,
  search,
  setSearch,
}: {
  model: ImageModel;
  chosen: Chosen;
  setChosen: (chosen: Chosen) => void;
  search: string;
  setSearch: (text: string) => void;
}) {
  const { refused, profile, phases } = model.boot;
  const { play, stages } = useMemo(() => replay(model, chosen), [model, chosen]);
  const [selected, setSelected] = useState<number>();
  const stageNumber = Math.min(selected ?? stages.length - 1, stages.length - 1);
  const stage = stages[stageNumber] as Stage;
  if (refused !== undefined)
    return (
      <div class="card">
        <h2>This image cannot be booted</h2>
        <p>{printable(refused)}</p>
      </div>
    );
  const change = (step: Step) => {
    setSelected(undefined);
    setChosen({ ...chosen, steps: [...chosen.steps, step] });
  };
  const fitsCpus = model.boot.cpus.some(({ places }) => places.length > 0);
  const refusals = model.boot.cpus.flatMap(({ cpus, refused: why }) =>
    why === undefined ? [] : [{ cpus, why }],
  );
  return (
    <div class="boot">
      <section class="controls" aria-label="What decides">
        {fitsCpus && (
          <div class="cpus">
            <span>CPUs</span>
            <Segments
              label="Number of CPUs"
              choices={cpuChoices.filter(({ value }) => !refusals.some(({ cpus }) => cpus === value))}
              value={chosen.cpus}
              onChange={(cpus) => {
                setSelected(0);
                setChosen({ ...chosen, cpus });
              }}
            />
          </div>
        )}
        {refusals.map(({ cpus, why }) => (
          <p class="note" key={cpus}>
            --cpus {cpus}: {printable(why)}
          </p>
        ))}
        <Switches model={model} play={play} search={search} setSearch={setSearch} change={change} />
      </section>
      <section class="record" aria-label="What boot does">
        <Command text={printable(commandOf(model.data, chosen.cpus, chosen.steps))} />
        <Scenario
          model={model}
          steps={chosen.steps}
          choose={(steps) => {
            setSelected(undefined);
            setChosen({ ...chosen, steps });
          }}
        />
        <ol class="stages" aria-label="Steps">
          {stages.map(({ title, writes }, i) => (
            <li key={i}>
              <button type="button" aria-pressed={i === stageNumber} onClick={() => setSelected(i)}>
                <Name>{title}</Name>
                <span class="quiet"> {countOf(writes.length, 'write')}</span>
              </button>
            </li>
          ))}
        </ol>
        <div class="actions">
          <button
            type="button"
            disabled={chosen.steps.length === 0}
            onClick={() => {
              setSelected(undefined);
              setChosen({ ...chosen, steps: chosen.steps.slice(0, -1) });
            }}
          >
            Undo the last step
          </button>
          <button
            type="button"
            disabled={chosen.steps.length === 0 && chosen.cpus === undefined}
            onClick={() => {
              setSelected(undefined);
              setChosen({ cpus: undefined, steps: [] });
            }}
          >
            Start again
          </button>
        </div>
        {stageNumber === 0 && (
          <p class="quiet">
            Phases by the rules of profile {printable(profile)}:{' '}
            {phases
              .map(
                ({ name, stored }) =>
                  `${name}${stored > 0 ? ` (${countOf(stored, 'word')} of data stored)` : ''}`,
              )
              .join(', ')}
          </p>
        )}
        {chosen.steps.some(({ control }) => model.boot.controls[control]?.leftOut !== undefined) && (
          <p class="quiet">The number of relative relocations changes with every call, and is not shown.</p>
        )}
        <Record key={`${stageNumber} ${chosen.cpus} ${chosen.steps.length}`} model={model} stage={stage} />
      </section>
    </div>
  );
}

/** The steps as the command takes them from a file, to take away and to bring back. */
function Scenario({
  model,
  steps,
  choose,
}: {
  model: ImageModel;
  steps: readonly Step[];
  choose: (steps: readonly Step[]) => void;
}) {
  const [draft, setDraft] = useState<string>();
  const [problem, setProblem] = useState<string>();
  const load = (text: string) => {
    try {
      choose(readScenario(model.data, text));
      setDraft(undefined);
      setProblem(undefined);
    } catch (error) {
      setProblem(error instanceof Error ? error.message : String(error));
    }
  };
  const text = scenarioText(model.data, steps);
  return (
    <details class="scenario">
      <summary>
        {needsScenario(steps) ? `What ${scenarioName} has to hold` : 'The steps as a scenario'}
      </summary>
      <textarea
        aria-label="Scenario"
        spellcheck={false}
        rows={8}
        value={draft ?? text}
        onInput={(event) => setDraft(event.currentTarget.value)}
      />
      {problem !== undefined && (
        <p class="note" role="alert">
          {printable(problem)}
        </p>
      )}
      <div class="actions">
        <button type="button" onClick={() => void navigator.clipboard?.writeText(draft ?? text)}>
          Copy the scenario
        </button>
        <button type="button" disabled={draft === undefined} onClick={() => load(draft ?? text)}>
          Play this scenario
        </button>
      </div>
    </details>
  );
}

function Switches({
  model,
  play,
  search,
  setSearch,
  change,
}: {
  model: ImageModel;
  play: Play;
  search: string;
  setSearch: (text: string) => void;
  change: (step: Step) => void;
}) {
  const { controls } = model.boot;
  const names = useMemo(
    () => controls.map((control) => model.controlName(control).toLowerCase()),
    [model, controls],
  );
  /** Keys by name, and then calls. */
  const order = useMemo(() => {
    const keyOf = (number: number) =>
      `${controls[number]?.what === 'key' ? 0 : 1}${(names[number] as string).replace(/^_+/, '')}`;
    const sorted = controls.map((_, number) => ({ number, key: keyOf(number) }));
    sorted.sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : a.number - b.number));
    return sorted.map(({ number }) => number);
  }, [controls, names]);
  const shown = useMemo(() => {
    const words = search
      .toLowerCase()
      .split(/\s+/)
      .filter((word) => word !== '');
    return order.filter((number) => words.every((word) => (names[number] as string).includes(word)));
  }, [order, names, search]);
  return (
    <>
      <div class="tools">
        <SearchBox label="Search what to switch" value={search} onChange={setSearch} />
        <span class="quiet" role="status">
          {countText(shown.length)} of {countText(controls.length)}
        </span>
      </div>
      <DataTable
        label="Keys and calls to switch"
        className="switches"
        rowHeight={40}
        count={shown.length}
        empty="No key or call has such a name."
        columns={[
          { title: 'Name', width: 'minmax(0, 1fr)' },
          { title: 'Places', width: '4.4rem', isNumber: true },
          { title: 'State', width: '9.5rem' },
        ]}
        rowKey={(row) => shown[row] as number}
        cells={(row) => {
          const number = shown[row] as number;
          const control = controls[number] as ControlData;
          return [
            <Name>{model.controlName(control)}</Name>,
            countText(model.placesOf(number).length),
            <Switch
              model={model}
              control={control}
              value={play.values[number] as number}
              change={(value, by) => change({ control: number, value, ...(by && { by }) })}
            />,
          ];
        }}
      />
    </>
  );
}

function Switch({
  model,
  control,
  value,
  change,
}: {
  model: ImageModel;
  control: ControlData;
  value: number;
  change: (value: number, by?: Step['by']) => void;
}) {
  const name = model.controlName(control);
  const blocked =
    control.refused ?? (control.what === 'key' ? control.values[value > 0 ? 0 : 1]?.refused : undefined);
  if (blocked !== undefined)
    return (
      <span class="quiet" title={printable(blocked)}>
        fixed
      </span>
    );
  if (control.what === 'key') {
    const most = 1 + (control.counts?.length ?? 0);
    return (
      <span class="key-switch">
        <button
          type="button"
          role="switch"
          class="switch"
          aria-checked={value > 0}
          aria-label={name}
          disabled={value > 1}
          title={value > 1 ? `${value} users: it goes off with the last of them` : undefined}
          onClick={() => change(value > 0 ? 0 : 1)}
        >
          <span class="knob" aria-hidden="true" />
          <span aria-hidden="true">{value > 1 ? `on ×${value}` : value === 1 ? 'on' : 'off'}</span>
        </button>
        <button
          type="button"
          class="count"
          aria-label={`${name}: one user less (dec)`}
          disabled={value === 0}
          onClick={() => change(value - 1, 'dec')}
        >
          −
        </button>
        <button
          type="button"
          class="count"
          aria-label={`${name}: one user more (inc)`}
          disabled={value >= most}
          onClick={() => change(value + 1, 'inc')}
        >
          +
        </button>
      </span>
    );
  }
  return (
    <select aria-label={name} value={value} onChange={(event) => change(Number(event.currentTarget.value))}>
      {control.values.map((of, i) => (
        <option key={i} value={i} disabled={of.refused !== undefined && i !== value}>
          {model.string(of.name)}
        </option>
      ))}
    </select>
  );
}

const stepTexts: Readonly<Record<number, string>> = {
  1: 'a breakpoint: whoever comes by is sent on to the new instruction',
  2: 'behind the breakpoint, the end of the new instruction',
  3: 'its first byte in place of the breakpoint',
};

/** The writes of a step, and the place of the one that is looked at as it stands after it. */
function Record({ model, stage: { writes } }: { model: ImageModel; stage: Stage }) {
  const [at, setAt] = useState(0);
  const [playing, setPlaying] = useState(false);
  const timer = useRef<ReturnType<typeof setInterval>>(undefined);
  useEffect(() => {
    if (!playing) return;
    timer.current = setInterval(() => {
      setAt((last) => {
        if (last + 1 >= writes.length) setPlaying(false);
        return Math.min(last + 1, writes.length - 1);
      });
    }, 700);
    return () => clearInterval(timer.current);
  }, [playing, writes.length]);
  if (writes.length === 0)
    return <p class="quiet">Nothing is written: every place holds what it is to hold.</p>;
  const write = writes[at] as Write;
  const move = (to: number) => {
    setPlaying(false);
    setAt(Math.max(0, Math.min(writes.length - 1, to)));
  };
  return (
    <>
      <div class="stepper">
        <button type="button" onClick={() => move(at - 1)} disabled={at === 0} aria-label="Previous write">
          ‹
        </button>
        <input
          type="range"
          min={0}
          max={writes.length - 1}
          value={at}
          aria-label="Write"
          aria-valuetext={`write ${at + 1} of ${writes.length}: ${printable(write.reason)}`}
          onInput={(event) => move(Number(event.currentTarget.value))}
        />
        <button
          type="button"
          onClick={() => move(at + 1)}
          disabled={at === writes.length - 1}
          aria-label="Next write"
        >
          ›
        </button>
        <button type="button" onClick={() => setPlaying(!playing)} aria-pressed={playing}>
          {playing ? 'Pause' : 'Play'}
        </button>
      </div>
      <Moment model={model} writes={writes} at={at} />
      <DataTable
        label="Record of writes"
        className="writes"
        rowHeight={30}
        count={writes.length}
        empty=""
        showRow={at}
        columns={[
          { title: '#', width: '4rem', isNumber: true },
          { title: 'Address', width: '11.5rem', isMinor: true },
          { title: 'Place', width: 'minmax(0, 1.2fr)' },
          { title: 'Before', width: '8.8rem', isMinor: true },
          { title: 'After', width: 'clamp(7.5rem, 22vw, 8.8rem)' },
          { title: 'Step', width: '3.6rem' },
          { title: 'Why', width: 'minmax(0, 1.4fr)', isMinor: true },
        ]}
        rowKey={(row) => row}
        isMarked={(row) => row === at}
        cells={(row) => {
          const { address, place, before, after, step, reason, offset } = writes[row] as Write;
          const name = place === undefined ? 'data' : model.placeName(place);
          return [
            <button type="button" class="link" onClick={() => move(row)} aria-label={`Show write ${row + 1}`}>
              {countText(row + 1)}
            </button>,
            <code>{hex(address)}</code>,
            <Name>{offset > 0 ? `${name} (+${offset})` : name}</Name>,
            <code>{spaced(before)}</code>,
            <Bytes digits={after} against={before} />,
            step === undefined ? '' : `${step}/3`,
            <Name>{printable(reason)}</Name>,
          ];
        }}
      />
    </>
  );
}

function Moment({ model, writes, at }: { model: ImageModel; writes: readonly Write[]; at: number }) {
  const write = writes[at] as Write;
  const { place } = write;
  const held = place === undefined ? undefined : heldAt(model, writes, at, place);
  return (
    <div class="moment">
      <p class="count">
        Write {countText(at + 1)} of {countText(writes.length)}
        <span class="quiet"> · {printable(write.phase)}</span>
      </p>
      {place !== undefined && held ? (
        <>
          <Where model={model} place={place} />
          <Besides model={model} place={place} />
          <div class="then">
            <Bytes digits={held.before} />
            <span aria-hidden="true">→</span>
            <Bytes digits={held.after} against={held.before} />
          </div>
          <p class="quiet">
            {write.step === undefined ? 'one store' : `Step ${write.step} of 3: ${stepTexts[write.step]}`}
          </p>
        </>
      ) : (
        <>
          <p>
            data at <code>{hex(write.address)}</code>
          </p>
          <div class="then">
            <Bytes digits={write.before} />
            <span aria-hidden="true">→</span>
            <Bytes digits={write.after} against={write.before} />
          </div>
        </>
      )}
      <p class="why">
        <Name>{printable(write.reason)}</Name>
      </p>
    </div>
  );
}

/** What a place held in front of a write and behind it: its writes put together, those that follow too. */
function heldAt(model: ImageModel, writes: readonly Write[], at: number, place: number) {
  const size = model.bytes(model.places.built[place] as number).length;
  const held = new Array<string>(size / 2).fill('??');
  // What no write of this step has touched yet is what the first one that touches it found there.
  for (let i = Math.min(writes.length - 1, at + 2); i >= at; i--) {
    const write = writes[i] as Write;
    if (write.place === place) put(held, write.offset, write.before);
  }
  for (let i = Math.max(0, at - 2); i < at; i++) {
    const write = writes[i] as Write;
    if (write.place === place) put(held, write.offset, write.after);
  }
  const before = held.join('');
  put(held, (writes[at] as Write).offset, (writes[at] as Write).after);
  return { before, after: held.join('') };
}

function put(held: string[], offset: number, digits: string): void {
  (digits.match(/../g) ?? []).forEach((pair, i) => {
    held[offset + i] = pair;
  });
}
