/**
 * What a build, a test or a page calls. Nothing here prints, writes a file, ends the process or changes what it is
 * given. An input is a path or `{ name, bytes }`. What comes back is plain data, which `structuredClone` copies;
 * `document` is what the command line prints as JSON (docs/*.schema.json). Errors are `TextpokeError`s with a code.
 *
 * @packageDocumentation
 */

export type { AnnotateOptions } from './annotate/options.ts';
export type { AnnotateDocument, AnnotateStats } from './annotate/stats.ts';
export type { Expectation } from './boot/expectation.ts';
export type { QueryAnswer, Reserved, Warning } from './boot/log.ts';
export { parseScenario } from './boot/scenario.ts';
export type { BootStep, KeyOperation, Operation } from './boot/steps.ts';
export type { ControlCall, ControlDocument, ControlKey } from './control/document.ts';
export type { UpFill } from './demand/patch.ts';
export { profileNames } from './demand/profiles.ts';
export type { ExplainOptions } from './dump/explain.ts';
export type { Explained, ExplainedKey, ExplainedSite, ExplainedState } from './dump/explain-model.ts';
export type { AllEntries } from './dump/model.ts';
export type { DumpOptions } from './dump/passes.ts';
export type {
  FileSummary,
  GroupCounts,
  KeyGroup,
  MemberCounts,
  SiteGroup,
  TableSummary,
  TextSummary,
} from './dump/summary.ts';
export type { DebugDirectories } from './dwarf/debug-files.ts';
export type { SourceLine } from './dwarf/source-line.ts';
export {
  type ErrorCode,
  type ErrorPlace,
  ExitCode,
  errorCodes,
  type Mismatch,
  MismatchError,
  TextpokeError,
} from './errors.ts';
export type { Input, NamedBytes } from './files/input.ts';
export type { DumpedBarrier } from './kinds/barrier/kind.ts';
export type { DumpedLock } from './kinds/lock-prefix/kind.ts';
export type { DumpedAlternative } from './kinds/one-cpu/kind.ts';
export type { SiteCounts, TableEntries } from './kinds/registry.ts';
export type {
  DumpedDeadEntry,
  DumpedEntry,
  DumpedInstruction,
  DumpedPlace,
  KeyState,
} from './kinds/shown.ts';
export type { DumpedJumpEntry } from './kinds/static-branch/kind.ts';
export type { DumpedCallSite } from './kinds/static-call/kind.ts';
export type {
  DumpedOperation,
  DumpedReplacement,
  DumpedSite,
  TextTableEntries,
} from './kinds/text-tables.ts';
export type { DumpedTrampolineKey } from './kinds/trampoline-key/kind.ts';
export { type AnnotateResult, annotate } from './library/annotate.ts';
export { type BootOptions, type BootResult, boot } from './library/boot.ts';
export {
  type ControlChange,
  type ControlOperation,
  changeControl,
  listControl,
  setControlCpus,
} from './library/control.ts';
export { type CpuFeaturesOptions, cpuFeatures } from './library/cpu-features.ts';
export type { CpuOptions } from './library/cpu-plan.ts';
export { type DiffFormat, type DiffOptions, type DiffResult, diff, diffFormats } from './library/diff.ts';
export { type DumpResult, dump, type SummaryResult, summarize } from './library/dump.ts';
export { explain } from './library/explain.ts';
export type { ExpandOptions } from './library/image.ts';
export { link } from './library/link.ts';
export { linkerScript } from './library/linker-script.ts';
export { type PolicyResult, policy, policyDocument } from './library/policy.ts';
export { type PageOptions, type PageResult, report } from './library/report.ts';
export type { Reports } from './library/reports.ts';
export { type VerifyResult, verify } from './library/verify.ts';
export {
  type VerifyMemoryResult,
  verifyMemory,
} from './library/verify-memory.ts';
export type {
  PhysicalPart,
  VerifyMemoryOptions,
  VerifyOptions,
  VerifyProcessOptions,
  VerifyRunningOptions,
} from './library/verify-options.ts';
export {
  type ReportOptions,
  type Verification,
  type VerifyFormat,
  verifyFormats,
} from './library/verify-report.ts';
export { imagesOfProcess, verifyProcess, verifyRunning } from './library/verify-running.ts';
export type { Linked } from './link/link.ts';
export type { ListingRules, LockPolicy } from './object/found.ts';
export type {
  BootDocument,
  BootModule,
  BootWrite,
  PatchablePlace,
  PlaceState,
  StatesDocument,
} from './output/boot-document.ts';
export type { ComparedDocument, DiffDocument, DifferenceDocument, SiteDocument } from './output/diff.ts';
export type { DumpDocument, FileDocument, TableDocuments } from './output/dump.ts';
export type { ExplainDocument } from './output/explain-place.ts';
export type { MemoryCall, MemoryDocument, MemoryKey, MemoryPlace } from './output/memory.ts';
export type { MemoryModule } from './output/memory-modules.ts';
export type {
  ComparedBytes,
  ComparedMemoryText,
  ComparedModuleTexts,
  MemoryText,
  MemoryTextKind,
  ModuleText,
} from './output/memory-text.ts';
export type { SummaryDocument } from './output/summary.ts';
export type {
  ExplanationDocument,
  FindingDocument,
  SuppressedDocument,
  VerifyDocument,
} from './output/verify.ts';
export { policyBytes, readPolicy } from './policy/binary.ts';
export {
  type Allowed,
  type CheckerOptions,
  type Refusal,
  type Refused,
  type Verdict,
  WriteChecker,
  type WriteStep,
} from './policy/checker.ts';
export {
  type Policy,
  type PolicyForm,
  type PolicyKind,
  type PolicyPointer,
  type PolicyState,
  type PolicyStretch,
  type PolicyTargets,
  type PolicyVariable,
  policyKinds,
  type StateField,
  type When,
} from './policy/policy.ts';
export type { AskedUpdate } from './report/calls.ts';
export type { CpuDocument } from './text/x86-64/cpu/document.ts';
export type { ComparedTable } from './verify/compared.ts';
export type { LinkedKeys } from './verify/linkage-check.ts';
export type { Need, Rule, Severity } from './verify/rules/rule.ts';
export { type RuleId, ruleIds, rules } from './verify/rules.ts';
export type { ConfigDocument, Suppression } from './verify/suppressions.ts';
