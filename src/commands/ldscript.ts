// textpoke ldscript: prints the linker script fragment.
import { linkerScript } from '../library/linker-script.ts';
import { print } from '../output/console.ts';

/** Runs the command. */
export function runLdscript({ machine, gcSections }: { machine: string; gcSections?: boolean }): number {
  print(linkerScript(machine, !gcSections));
  return 0;
}
