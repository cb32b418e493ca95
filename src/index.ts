// The library: what the command line is made of.
export type { Arch } from './arch/arch.ts';
export { architectures, archOf } from './arch/registry.ts';
export type { ElfFile, Section, Segment } from './elf/file.ts';
export { readElf } from './elf/read.ts';
export { type ErrorCode, ExitCode, errorCodes, MismatchError, TextpokeError } from './errors.ts';
export { type Finding, type RuleId, rules } from './findings.ts';
export { Image } from './image/image.ts';
export { type Linked, linkObjects } from './image/link.ts';
export { linkerScript } from './output/ldscript.ts';
export {
  type Annotated,
  type AnnotateOptions,
  type AnnotateStats,
  annotate,
  type BootOptions,
  type BootStep,
  boot,
  type LockPolicy,
} from './pipeline.ts';
export { type Verified, type VerifyOptions, verifyImage } from './verify/verify.ts';
