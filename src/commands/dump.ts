// textpoke dump: the tables of objects, archives and images. A file that cannot be read does not stop the others.
import type { DumpedFile } from '../dump/model.ts';
import type { DumpOptions } from '../dump/passes.ts';
import { ExitCode, TextpokeError } from '../errors.ts';
import { unpackedNotes } from '../kernel/plain.ts';
import { dumpInput } from '../library/dump.ts';
import type { VerifyMemoryOptions } from '../library/verify-memory.ts';
import { isOutputColoured, print, printPieces, tellError, warn } from '../output/console.ts';
import { dumpJson, dumpText } from '../output/dump.ts';
import { jsonText } from '../output/text.ts';

export interface DumpArguments
  extends Omit<DumpOptions, 'debugDirectories'>,
    Pick<VerifyMemoryOptions, 'base' | 'physical'> {
  cpuFeatures?: string;
  debugDir?: string[];
  json?: boolean;
}

/** Runs the command. 1 when an entry or a table is malformed, else the status of the last file's error. */
export async function runDump(
  files: readonly string[],
  { json, debugDir, cpuFeatures, base, physical, ...args }: DumpArguments,
): Promise<number> {
  if (cpuFeatures !== undefined) return printFeatures(files, cpuFeatures, { base, physical });
  if (base !== undefined || physical !== undefined)
    throw new TextpokeError('usage', 'where a raw dump lies is asked with --cpu-features alone');
  const options = { ...args, debugDirectories: debugDir };
  let exitCode: number = ExitCode.done;
  let entries = 0;
  async function* each(): AsyncGenerator<DumpedFile> {
    for (const file of files) {
      try {
        for await (const dumped of dumpInput(file, options)) {
          if (exitCode === ExitCode.done && hasProblem(dumped)) exitCode = ExitCode.findings;
          for (const table of Object.values(dumped.tables)) entries += table.entries.length;
          for (const note of unpackedNotes(dumped.file, dumped.unpacked)) warn(note);
          yield dumped;
        }
      } catch (error) {
        if (!(error instanceof TextpokeError) || error.code === 'usage') throw error;
        exitCode = tellError(error);
      }
    }
  }
  const pieces = json ? dumpJson(each()) : dumpText(each(), { color: isOutputColoured() });
  for await (const piece of pieces) await printPieces(piece.endsWith('\n') ? piece : `${piece}\n`, exitCode);
  if (args.key === undefined || entries > 0 || exitCode !== ExitCode.done) return exitCode;
  return tellNoMatch(files, args.key, args);
}

/** A name or a pattern that no entry's key has is a finding, as it is for grep. */
async function tellNoMatch(files: readonly string[], key: string, options: DumpOptions): Promise<number> {
  const { keyHint } = await import('../library/key-names.ts');
  const what = `no entry has a key that matches ${key}${await keyHint(files, key, options)}`;
  return tellError(new TextpokeError('no-match', what, { file: files.join(', ') }));
}

/** What a dump tells of the processor, as JSON. */
async function printFeatures(
  files: readonly string[],
  memory: string,
  { base, physical }: Pick<VerifyMemoryOptions, 'base' | 'physical'>,
): Promise<number> {
  const [file] = files;
  if (file === undefined || files.length > 1)
    throw new TextpokeError('usage', '--cpu-features is about one kernel and its dump');
  const { cpuFeatures } = await import('../library/cpu-features.ts');
  print(jsonText(await cpuFeatures(file, memory, { base, physical }), 2));
  return ExitCode.done;
}

function hasProblem({ tables }: DumpedFile): boolean {
  return Object.values(tables).some(({ isMalformed, problems }) => isMalformed || problems.length > 0);
}
