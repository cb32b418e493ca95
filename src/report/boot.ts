// Boot as a report has it: the phases of start-up, what one CPU or several change, and what every key and call does then.
import { startCpus } from '../boot/cpus.ts';
import { replayBoot } from '../boot/passes.ts';
import type { Runtime } from '../boot/runtime.ts';
import type { PokeRecord } from '../boot/text-poke.ts';
import type { Image } from '../image/image.ts';
import type { AskedUpdate } from './calls.ts';
import { type Change, ChangeReader } from './changes.ts';
import { type Controlled, ControlRecorder } from './controls.ts';
import type { BootData, CpusData, PhaseData, WritesData } from './data.ts';
import type { InstructionTexts } from './instructions.ts';
import { type Around, joined, type Place } from './places.ts';
import type { Pools } from './pools.ts';
import { refusalOf } from './refusal.ts';

/** The phase in which locks and barriers are fitted to the number of CPUs. */
const cpuPhase = 'SMP alternatives';

export interface BootSubject {
  readonly image: Image;
  readonly places: readonly Place[];
  readonly controlled: Controlled;
  readonly pools: Pools;
  readonly texts: InstructionTexts;
  /** What is given to `--update`, besides what names suggest. */
  readonly updates: readonly AskedUpdate[];
  /** What the command is given in front of the options. */
  readonly command: string;
  readonly around: readonly Around[];
}

/** Boots an image, which changes in place. Errors: those of the names that were asked for. */
export function bootData(subject: BootSubject): BootData {
  const { image, places, pools, texts, command } = subject;
  const nothing = { profile: '', command, phases: [], cpus: [], controls: [], live: {} };
  const clash = overlapOf(image, places);
  if (clash !== undefined) return { ...nothing, refused: clash };
  let runtime: Runtime | undefined;
  const refused = refusalOf(() => {
    runtime = replayBoot(image);
  });
  if (!runtime) return { ...nothing, refused: refused ?? '' };
  const placeAt = new Map(places.map(({ address }, number) => [address, number]));
  const reader = new ChangeReader(placeAt, pools);
  const phases = phasesOf(runtime, reader, subject);
  const cpus = [1, 2].map((number) => cpusData(runtime as Runtime, number, reader, subject));
  const recorder = new ControlRecorder({ runtime, places, reader, pools, texts }, placeAt);
  const controls = recorder.record(subject.controlled, subject.updates);
  return { profile: runtime.program.profile.name, command, phases, cpus, controls, live: reader.live };
}

function phasesOf(runtime: Runtime, reader: ChangeReader, subject: BootSubject): PhaseData[] {
  const records = new Map<string, PokeRecord[]>([...runtime.log.phases.keys()].map((name) => [name, []]));
  for (const record of runtime.poker.records) records.get(record.phase)?.push(record);
  return Array.from(records, ([name, written]) => {
    const stored = written.filter(({ what }) => what === 'data').length;
    const changes = reader.read(
      written.filter(({ what }) => what === 'text'),
      false,
    );
    return { name, stored, ...writesData(changes, subject) };
  });
}

/** What `--cpus` writes; the program stands as before afterwards. */
function cpusData(runtime: Runtime, cpus: number, reader: ChangeReader, subject: BootSubject): CpusData {
  const { poker, state } = runtime;
  const { phase, live } = poker;
  const mark = poker.records.length;
  Object.assign(poker, { phase: cpuPhase, live: false });
  try {
    const refused = refusalOf(() => startCpus(runtime, cpus, 'ds'));
    if (refused !== undefined) return { cpus, refused, places: [], bytes: [], texts: [], reasons: [] };
    return { cpus, ...writesData(reader.read(poker.records.slice(mark), false), subject) };
  } finally {
    poker.rollBack(mark);
    runtime.state = state;
    Object.assign(poker, { phase, live });
  }
}

function writesData(changes: readonly Change[], { places, pools, texts, around }: BootSubject): WritesData {
  const found = changes.flatMap((change) => (change.what === 'place' ? [change] : []));
  return {
    places: found.map(({ place }) => place),
    bytes: found.map(({ bytes }) => pools.bytes(bytes)),
    texts: found.map(({ place, bytes }) => {
      const { lead, rest } = around[place] as Around;
      const { address } = places[place] as Place;
      return texts.of(joined(lead, bytes, rest), address - lead.length);
    }),
    reasons: found.map(({ reason }) => pools.string(reason)),
  };
}

/** Places that lie over one another cannot be shown apart: what one becomes is not what the other was. */
function overlapOf(image: Image, places: readonly Place[]): string | undefined {
  for (let i = 1; i < places.length; i++) {
    const [last, next] = [places[i - 1] as Place, places[i] as Place];
    if (last.address + last.size <= next.address) continue;
    return `the places ${image.describe(last.address)} and ${image.describe(next.address)} overlap; textpoke verify says more`;
  }
  return undefined;
}
