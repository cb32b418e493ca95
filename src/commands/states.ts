// textpoke states: what may be written to the text of a kernel, as a document or in compact form.

import { ExitCode } from '../errors.ts';
import { requireOtherFile } from '../files/identity.ts';
import { publish } from '../files/publish.ts';
import { policy, policyDocument } from '../library/policy.ts';
import { printPieces, warn } from '../output/console.ts';
import { policyBytes } from '../policy/binary.ts';

export interface StatesArguments {
  output?: string;
  expandLimit?: number;
}

/** Runs the command; returns the exit status. */
export async function runStates(file: string, { output, expandLimit }: StatesArguments): Promise<number> {
  if (output !== undefined) requireOtherFile('-o', output, [file]);
  const { policy: made, notes } = await policy(file, { expandLimit });
  if (output === undefined) await printPieces(policyDocument(file, made), ExitCode.done);
  else for (const note of await publish(output, policyBytes(made), file)) warn(`${output}: ${note}`);
  for (const note of notes) warn(note);
  return ExitCode.done;
}
