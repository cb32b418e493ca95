// The linker script fragment for GNU ld and lld: where the tables go and what their bounds are called.
import type { Arch } from '../arch/arch.ts';
import type { TableRow } from '../bytes/table.ts';
import { tableKinds } from '../kinds/registry.ts';

function outputSection(row: TableRow, align: number, keep: boolean): string {
  const [start, stop] = row.bounds[0] as readonly [string, string];
  const input = `*(${row.name})`;
  return [
    `  ${row.name} : ALIGN(${align})`,
    '  {',
    `    HIDDEN(${start} = .);`,
    `    ${keep ? `KEEP(${input})` : input}`,
    `    HIDDEN(${stop} = .);`,
    '  }',
  ].join('\n');
}

/** The fragment for a machine: with tables of what it has; with `keep` their entries are roots of --gc-sections. */
export function linkerScript(arch: Arch, keep: boolean): string {
  const tables = tableKinds.filter((row) => row.isInScript(arch)).map(({ table }) => table);
  const sections = tables.map((row) => outputSection(row, arch.wordSize === 8 ? row.addralign : 4, keep));
  return `/* Tables of textpoke, for GNU ld and lld: pass this file with -T. */
SECTIONS
{
${sections.join('\n')}
}
INSERT AFTER .data;
`;
}
