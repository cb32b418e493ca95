// The library: what the command line is made of.
export type { Arch } from './arch/arch.ts';
export { architectures, archOf } from './arch/registry.ts';
export type { Expectation } from './boot/expectation.ts';
export { patchedFile } from './boot/patched-file.ts';
export type { Runtime, Warning } from './boot/runtime.ts';
export { parseScenario } from './boot/scenario.ts';
export { type PlaceStates, patchableStates, type State } from './boot/states.ts';
export { type BootStep, listedValues } from './boot/steps.ts';
export { type Profile, profileNamed, profileOf, profiles } from './demand/profiles.ts';
export type { ElfFile, Section, Segment } from './elf/file.ts';
export { readElf } from './elf/read.ts';
export { type ErrorCode, ExitCode, errorCodes, MismatchError, TextpokeError } from './errors.ts';
export { Image } from './image/image.ts';
export { type Linked, linkObjects } from './link/link.ts';
export { linkerScript } from './output/ldscript.ts';
export {
  type Annotated,
  type AnnotateOptions,
  type AnnotateStats,
  annotate,
  type BootOptions,
  boot,
  type LockPolicy,
} from './pipeline.ts';
export type { Finding } from './verify/finding.ts';
export { type RuleId, rules, type Severity } from './verify/rules.ts';
export { type Verified, type VerifyOptions, verifyImage } from './verify/verify.ts';
