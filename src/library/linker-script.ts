// The library's linker script, by the name of a machine.
import { archNamed } from '../arch/registry.ts';
import { linkerScript as scriptFor } from '../output/ldscript.ts';

/**
 * The linker script fragment for GNU ld and lld, to be passed with -T; `machine` is a name as compilers and
 * distributions have it (`x86-64`, `aarch64`, `arm64`, `arm`). With `keep` false, --gc-sections drops the entries of
 * dead functions with their code: right for objects that annotate has bound, wrong for tables from elsewhere. Error
 * `usage` for a machine that is not known.
 */
export function linkerScript(machine: string, keep = true): string {
  return scriptFor(archNamed(machine), keep);
}
