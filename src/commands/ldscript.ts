// textpoke ldscript: prints the linker script fragment.
import { architectures } from '../arch/registry.ts';
import { TextpokeError } from '../errors.ts';
import { print } from '../output/console.ts';
import { linkerScript } from '../output/ldscript.ts';

export function runLdscript(args: { machine: string; gcSections?: boolean }): number {
  const row = architectures.find(({ arch }) => arch.name === args.machine);
  if (!row) {
    const known = [...new Set(architectures.map(({ arch }) => arch.name))].join(', ');
    throw new TextpokeError('usage', `unknown machine ${args.machine}; known machines: ${known}`);
  }
  print(linkerScript(row.arch, args.gcSections !== true));
  return 0;
}
