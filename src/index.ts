// The library: what the command line is made of.

export type { AnnotateOptions } from './annotate/options.ts';
export { type Annotated, annotate } from './annotate/passes.ts';
export type { AnnotateStats } from './annotate/stats.ts';
export type { Arch } from './arch/arch.ts';
export { architectures, archOf } from './arch/registry.ts';
export type { Expectation } from './boot/expectation.ts';
export type { Warning } from './boot/log.ts';
export { type BootOptions, runBoot as boot } from './boot/passes.ts';
export { patchedFile } from './boot/patched-file.ts';
export type { Runtime } from './boot/runtime.ts';
export { parseScenario } from './boot/scenario.ts';
export { listedValues, type PlaceStates, patchableStates } from './boot/states.ts';
export type { BootStep } from './boot/steps.ts';
export type { State } from './demand/patch.ts';
export { type Profile, profileNamed, profileOf, profiles } from './demand/profiles.ts';
export type { ElfFile, Section, Segment } from './elf/file.ts';
export { readElf } from './elf/read.ts';
export { type ErrorCode, ExitCode, errorCodes, MismatchError, TextpokeError } from './errors.ts';
export { Image } from './image/image.ts';
export { type Linked, linkObjects } from './link/link.ts';
export type { LockPolicy } from './object/found.ts';
export { linkerScript } from './output/ldscript.ts';
export type { VerifyOptions } from './verify/options.ts';
export { runVerify as verifyImage, type Verified } from './verify/passes.ts';
export { type RuleId, rules, type Severity } from './verify/rules.ts';
