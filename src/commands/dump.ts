export interface DumpArguments {
  table?: string;
  key?: string;
  disassemble?: boolean;
  json?: boolean;
}
export async function runDump(_files: readonly string[], _args: DumpArguments): Promise<number> {
  throw new Error('pending');
}
