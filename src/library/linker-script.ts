// The library's linker script, by the name of a machine.
import { architectures } from '../arch/registry.ts';
import { TextpokeError } from '../errors.ts';
import { linkerScript as scriptFor } from '../output/ldscript.ts';

/**
 * The linker script fragment for GNU ld and lld, to be passed with -T; `machine` is a name as documents have it
 * (`x86-64`). With `keep` false, --gc-sections drops the entries of dead functions with their code: right for objects
 * that annotate has bound, wrong for tables from elsewhere. Error `usage` for a machine that is not known.
 */
export function linkerScript(machine: string, keep = true): string {
  const row = architectures.find(({ arch }) => arch.name === machine);
  if (row) return scriptFor(row.arch, keep);
  const known = [...new Set(architectures.map(({ arch }) => arch.name))].join(', ');
  throw new TextpokeError('usage', `unknown machine ${machine}; known machines: ${known}`);
}
