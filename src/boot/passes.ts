// The passes of boot, top to bottom: the phases of the kernel's start, then the steps of the running program.
import type { UpFill } from '../demand/patch.ts';
import type { Profile } from '../demand/profiles.ts';
import type { Program } from '../demand/program.ts';
import type { Site } from '../demand/sites.ts';
import type { ElfFile } from '../elf/file.ts';
import { readElfFrom } from '../elf/read.ts';
import { TextpokeError } from '../errors.ts';
import { type Input, nameOf, openInput } from '../files/input.ts';
import type { Image } from '../image/image.ts';
import { type Kind, keyOf } from '../kinds/kind.ts';
import { kinds, programOf } from '../kinds/registry.ts';
import { inTables } from '../kinds/spans.ts';
import { startCpus } from './cpus.ts';
import { jumpLabelInit } from './jump-label.ts';
import { lossOf } from './losses.ts';
import { Runtime } from './runtime.ts';
import { staticCallInit } from './static-call.ts';
import { type BootStep, describeStep, runStep } from './steps.ts';

/** A phase of start-up. */
export interface BootPhase {
  readonly name: string;
  /** Carries it out and gives the number of its sites, undefined where there is nothing to do; absent: one of `phases`. */
  readonly run?: () => number | undefined;
}

export interface BootOptions {
  /** Number of CPUs; undefined leaves locks and barriers as they are. */
  readonly cpus?: number | undefined;
  /** Undefined: DS prefixes. */
  readonly upFill?: UpFill | undefined;
  readonly steps?: readonly BootStep[] | undefined;
  /** Keys get pointers to their entries; false unless given. */
  readonly raw?: boolean | undefined;
  /** Which runtime patches; undefined: the one that the image asks for. */
  readonly profile?: Profile | undefined;
  /** Opens a module's file, for steps that load one; undefined: reads it from the disk. */
  readonly openModule?: ((file: Input) => ElfFile) | undefined;
  /** The phases of start-up, where they are others than those of the rows (for-cpu.ts). */
  readonly phasesOf?: ((runtime: Runtime) => readonly BootPhase[]) | undefined;
  /** Told of each phase and step as it begins. */
  readonly progress?: ((what: string) => void) | undefined;
}

/** Phases that do more than bring sites to what is demanded of them, by their names in `Kind.phase`. */
const ownPhases: Readonly<Record<string, (runtime: Runtime, options: BootOptions) => void>> = {
  jump_label_init: jumpLabelInit,
  static_call_init: staticCallInit,
  'SMP alternatives': (runtime, { cpus, upFill = 'ds' }) => startCpus(runtime, cpus, upFill),
};

/** The phases in the order of the rows, each once. */
export const phases: readonly string[] = [
  ...new Set(kinds.flatMap(({ phase }) => (phase === undefined ? [] : [phase]))),
];

/** The phase in which the program runs. */
export const runTime = 'run time';

/**
 * Replays boot and the steps after it over an image that lies in memory of its own; the image changes in place.
 * Errors: `site-mismatch` (a site is not what it must be), `kernel-bug`, `table-malformed`, `key-unaligned`,
 * `branch-range`, `store-refused`, `step-refused`, `expectation-failed`, `unknown-key`, `ambiguous-name`. What was
 * written before an error is worthless: drop the image.
 */
export function replayBoot(image: Image, options: BootOptions = {}): Runtime {
  const { upFill = 'ds', progress = () => {}, steps = [] } = options;
  progress('reading the tables');
  const runtime = new Runtime(programOf(image, { profile: options.profile }), options.raw);
  requireKeysOutside(runtime.program);
  runtime.log.note(lossOf(runtime.program));
  for (const { name, run } of options.phasesOf?.(runtime) ?? phases.map((name): BootPhase => ({ name }))) {
    progress(name);
    runtime.poker.phase = name;
    const own = ownPhases[name];
    const sites = run?.();
    if (run && sites === undefined) continue;
    runtime.log.phases.set(name, sites);
    if (run) continue;
    if (own) own(runtime, options);
    else for (const kind of kinds) if (kind.phase === name) meetDemands(runtime, kind);
  }
  // From here on the program runs: every site is what its key demands, and writes go one breakpoint at a time.
  runtime.poker.phase = runTime;
  runtime.poker.live = true;
  const openModule = options.openModule ?? ((file) => readElfFrom(nameOf(file), openInput(file)));
  for (const step of steps) {
    progress(step.place ?? describeStep(step));
    runStep(runtime, step, { upFill, openModule });
  }
  return runtime;
}

/** Error `table-malformed`: an entry's key lies among entries, so that the phases would sort it away. */
function requireKeysOutside({ image, sites }: Program): void {
  const isInTable = inTables(image, sites);
  for (const kind of kinds) {
    const odd = sites.of(kind).find((site) => {
      const key = keyOf(site);
      return key !== undefined && isInTable(key);
    });
    const key = odd && keyOf(odd);
    if (key === undefined) continue;
    throw new TextpokeError(
      'table-malformed',
      `an entry names the key ${image.describe(key)}, which lies in a table of entries; a key in data of its own is required`,
      { file: image.file.path, section: kind.table.name },
    );
  }
}

/** Brings the sites of a kind to what is demanded of them, from any state that they may have. */
function meetDemands<S extends Site>({ program, poker }: Runtime, kind: Kind<S>): void {
  const patches = program.sites.of(kind).flatMap((site) => {
    const demand = kind.demand?.(program, site, { state: 'booted' });
    if (!demand || !('right' in demand)) return [];
    const allowed = [
      ...demand.right.map((bytes) => ({ bytes, meaning: kind.noun })),
      ...kind.states(program, site, new Map()),
    ];
    return [{ address: site.address, allowed, bytes: demand.right[0], reason: demand.why, key: keyOf(site) }];
  });
  poker.poke(patches);
}
