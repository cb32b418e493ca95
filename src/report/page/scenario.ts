// Choices as the scenario that boot takes (docs/scenario.schema.json), and a scenario as choices.
import type { ControlData, ImageData } from '../data.ts';
import type { Step } from './play.ts';

const schema = 'textpoke.scenario/1';

/** The text of a scenario, a step a line. */
export function scenarioText({ strings, boot }: ImageData, steps: readonly Step[]): string {
  const lines = steps.map(({ control: number, value, by }) => {
    const control = boot?.controls[number] as ControlData;
    const name = strings[control.spelling];
    const to = control.values[value];
    const step =
      control.what === 'call'
        ? { update: { call: name, to: strings[to?.spelling ?? -1] } }
        : { [by ?? (value > 0 ? 'enable' : 'disable')]: name };
    return `\n    ${JSON.stringify(step)}`;
  });
  return `{\n  "schema": "${schema}",\n  "steps": [${lines.join()}${lines.length > 0 ? '\n  ' : ''}]\n}\n`;
}

/** The choices of a scenario. An Error says what a page cannot do, or what is no scenario. */
export function readScenario(image: ImageData, text: string): Step[] {
  const document = JSON.parse(text) as { schema?: unknown; steps?: unknown } | null;
  if (document?.schema !== schema || !Array.isArray(document.steps))
    throw new Error(`a scenario is required: {"schema": "${schema}", "steps": [...]}`);
  const now = (image.boot?.controls ?? []).map(({ initial }) => initial);
  return document.steps.map((step: unknown, i) => {
    const chosen = readStep(image, step, now);
    if (typeof chosen === 'string') throw new Error(`step ${i + 1}: ${chosen}`);
    now[chosen.control] = chosen.value;
    return chosen;
  });
}

/** A step, or why a page cannot make it. `now` are the values of controls. */
function readStep(image: ImageData, step: unknown, now: readonly number[]): Step | string {
  const fields = typeof step === 'object' && step !== null ? Object.entries(step) : [];
  const [field, ...more] = fields.filter(([name]) => name !== 'comment');
  if (!field || more.length > 0) return 'one operation and nothing else is required';
  const [operation, value] = field;
  if (operation === 'update') return readUpdate(image, value as { call?: unknown; to?: unknown } | null, now);
  if (operation !== 'enable' && operation !== 'disable' && operation !== 'inc' && operation !== 'dec')
    return `${operation} is for the command line`;
  const control = find(image, 'key', value);
  const key = image.boot?.controls[control];
  const count = now[control];
  if (!key || count === undefined) return `this page has no key ${value}`;
  const refused = key.refused ?? key.values[count > 0 ? 0 : 1]?.refused;
  if (refused !== undefined) return refused;
  // A key with several users is neither enabled nor disabled as a whole.
  if (operation === 'enable') return { control, value: Math.max(count, 1) };
  if (operation === 'disable') return { control, value: count > 1 ? count : 0 };
  const next = operation === 'inc' ? count + 1 : count - 1;
  const most = 1 + (key.counts?.length ?? 0);
  return next < 0 || next > most
    ? `this page counts from 0 to ${most}`
    : { control, value: next, by: operation };
}

function readUpdate(
  image: ImageData,
  asked: { readonly call?: unknown; readonly to?: unknown } | null,
  now: readonly number[],
): Step | string {
  const control = find(image, 'call', asked?.call);
  if (now[control] === undefined) return `this page has no call ${asked?.call}`;
  const to = asked?.to ?? 'NULL';
  const value = image.boot?.controls[control]?.values.findIndex(
    ({ name, spelling, refused }) =>
      refused === undefined && (image.strings[spelling] === to || image.strings[name] === to),
  );
  return value === undefined || value < 0
    ? `this page does not offer ${to} for ${asked?.call}`
    : { control, value };
}

/** The number of a control by what a command calls it, else by its name; -1 where there is none. */
function find({ strings, boot }: ImageData, what: ControlData['what'], name: unknown): number {
  const controls = boot?.controls ?? [];
  const by = (field: 'spelling' | 'name') =>
    controls.findIndex((control) => control.what === what && strings[control[field]] === name);
  const spelled = by('spelling');
  return spelled >= 0 ? spelled : by('name');
}
