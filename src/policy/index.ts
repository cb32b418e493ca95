// What other rooms take of this one.
export { policyBytes, readPolicy } from './binary.ts';
export {
  type Allowed,
  type CheckerOptions,
  type Refusal,
  type Refused,
  type Verdict,
  WriteChecker,
} from './checker.ts';
export { makePolicy } from './make.ts';
export type {
  Policy,
  PolicyForm,
  PolicyKind,
  PolicyState,
  PolicyStretch,
  PolicyTargets,
  PolicyVariable,
  StateField,
} from './policy.ts';
