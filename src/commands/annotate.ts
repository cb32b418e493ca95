// textpoke annotate: objects and archives, in place or to -o.
import { realpathSync } from 'node:fs';
import { type AnnotateStats, annotateJson } from '../annotate/stats.ts';
import { ExitCode, TextpokeError } from '../errors.ts';
import { requireOtherFile } from '../files/identity.ts';
import { publish } from '../files/publish.ts';
import { expandWords, readList } from '../files/response-file.ts';
import { keptLock } from '../kinds/lock-prefix/kind.ts';
import { listedKinds } from '../kinds/registry.ts';
import { print, tellError, warn } from '../output/console.ts';
import { count } from '../output/count.ts';
import { jsonText, textOf } from '../output/text.ts';
import { type AnnotateArguments, type Outcome, tryAnnotateFiles } from './annotate-file.ts';

/** Says what failed and what else there is to know; returns the exit status of the first of them. */
function tellFailures(outcomes: readonly Outcome[]): number {
  let exitCode: number = ExitCode.done;
  for (const outcome of outcomes) {
    if ('stats' in outcome) {
      for (const note of outcome.notes) warn(note);
      continue;
    }
    if ('defect' in outcome) throw new Error(outcome.defect);
    const { code, message, place } = outcome.error;
    const failed = tellError(new TextpokeError(code, message, place));
    if (exitCode === ExitCode.done) exitCode = failed;
  }
  return exitCode;
}

/** The files that a command line names: its words, what its response files hold, and what a list holds. */
function inputsOf(words: readonly string[], args: AnnotateArguments): string[] {
  const { output, filesFrom, depfile } = args;
  const files = [...expandWords(words), ...(filesFrom === undefined ? [] : readList(filesFrom))];
  if (words.length === 0 && filesFrom === undefined)
    throw new TextpokeError('usage', "missing required argument 'object'");
  if (output !== undefined && files.length !== 1) {
    throw new TextpokeError('usage', `-o takes one input file, but ${files.length} are given`);
  }
  if (depfile !== undefined && output === undefined) {
    throw new TextpokeError(
      'usage',
      '--depfile needs -o: a file that is annotated in place depends on no other file',
    );
  }
  requireOtherFiles(words, files, args);
  return eachOnce(files);
}

/** No file that is written may be one that is read, but for an object in place. Error `usage`. */
function requireOtherFiles(
  words: readonly string[],
  files: readonly string[],
  { output, filesFrom, depfile, backup }: AnnotateArguments,
): void {
  const lists = [
    ...listsOf(words, files),
    ...(filesFrom === undefined || filesFrom === '-' ? [] : [filesFrom]),
  ];
  if (output !== undefined) requireOtherFile('-o', output, lists);
  if (depfile !== undefined) {
    const named = [...files, ...lists, output as string];
    requireOtherFile('--depfile', depfile, named);
    const broken = named.find((name) => /[\n\r]/.test(name));
    if (broken !== undefined)
      throw new TextpokeError('usage', `--depfile cannot name ${broken}: a line ends in the name`);
  }
  if (backup) {
    const backups = new Set(files.map((file) => `${file}.orig`));
    for (const file of files) if (backups.has(file)) requireOtherFile('--backup', file, [file]);
  }
}

/** A name as Make and Ninja read it in a dependency file, escaped as gcc does it (mkdeps.cc). */
function escapeName(name: string): string {
  const blank = (at: string) => `${at.slice(0, -1).repeat(2)}\\${at.at(-1)}`;
  return name
    .replaceAll('$', '$$$$')
    .replace(/\\*[ \t]/g, blank)
    .replaceAll('#', '\\#');
}

/** Says which files the output was made of, in a Makefile's syntax. */
async function writeDepfile(
  depfile: string,
  output: string,
  words: readonly string[],
  files: readonly string[],
): Promise<void> {
  const line = `${escapeName(output)}: ${[...files, ...listsOf(words, files)].map(escapeName).join(' ')}\n`;
  for (const note of await publish(depfile, new TextEncoder().encode(line), output))
    warn(`${depfile}: ${note}`);
}

/** Response files among the words of a command line. */
function listsOf(words: readonly string[], files: readonly string[]): string[] {
  return words.filter((word) => word.startsWith('@') && !files.includes(word)).map((word) => word.slice(1));
}

/**
 * Runs the command. A file that fails stops no other, so that any number of jobs leaves the same files; the status is
 * that of the first one in the order of the command line. Errors: `usage`, `read-failed` for a list.
 */
export async function runAnnotate(words: readonly string[], args: AnnotateArguments): Promise<number> {
  const files = inputsOf(words, args);
  // The engines of a cross-check live in this thread.
  const crossCheck = args.crossCheck
    ? await (await import('./cross-check.ts')).makeCrossCheck(files)
    : undefined;
  if (files.length > fewFiles) (await import('./less-compiling.ts')).compileLess();
  const { jobs = 1 } = args;
  const outcomes =
    jobs > 1 && files.length > 1 && !crossCheck
      ? await (await import('./annotate-workers.ts')).annotateInThreads(files, args, jobs)
      : await tryAnnotateFiles(files, args, crossCheck);
  const exitCode = tellFailures(outcomes);
  const stats = outcomes.flatMap((outcome) => ('stats' in outcome ? outcome.stats : []));
  if (args.depfile !== undefined && !args.dryRun && exitCode === ExitCode.done) {
    await writeDepfile(args.depfile, args.output as string, words, files);
  }
  if (args.json) print(jsonText(annotateJson(stats), 2));
  else if ((args.stats || args.dryRun) && stats.length > 0) print(statsText(stats, args.dryRun === true));
  tellUnlisted(stats);
  return exitCode;
}

/** Says which locks were left out: by an object's own table, or because they may be constants. */
export function tellUnlisted(stats: readonly AnnotateStats[]): void {
  for (const { file, unlistedLocks, unprovenLocks, firstUnproven } of stats) {
    if (unprovenLocks > 0) {
      const [are, first] =
        unprovenLocks === 1 ? ['lock prefix is', ''] : ['lock prefixes are', 'the first is '];
      warn(
        `${file}: ${unprovenLocks} ${are} not listed, because nothing proves that the bytes are code and not data (${first}${firstUnproven}); ` +
          'give the function a type and a size (.type, .size), or use --locks decodable to list them',
      );
    }
    if (unlistedLocks > 0)
      warn(
        `${file}: ${unlistedLocks} lock prefixes are not in .smp_locks; use --locks all to list these locks`,
      );
  }
}

/** As many files are done before V8 has optimised anything. */
const fewFiles = 32;

/** The same file by two names is annotated once. */
function eachOnce(files: readonly string[]): string[] {
  const seen = new Set<string>();
  return files.filter((file) => {
    let real = file;
    try {
      real = realpathSync.native(file);
    } catch {
      // Reading it will say what is wrong.
    }
    if (seen.has(real)) return false;
    seen.add(real);
    return true;
  });
}

function statsText(stats: readonly AnnotateStats[], dryRun: boolean): string {
  const verb = dryRun ? 'would list' : 'listed';
  const become = dryRun ? 'would become' : 'became';
  return textOf(
    stats.map((s) => {
      const counts = listedKinds.map((kind) => {
        const number = (s as unknown as Readonly<Record<string, number>>)[kind.statistic ?? ''] ?? 0;
        const isUsual = kind.annotate !== undefined && !kind.annotate.optIn;
        return { kind, number, isUsual };
      });
      const usual = counts
        .filter(({ isUsual }) => isUsual)
        .map(({ kind, number }) => count(number, kind.name));
      const parts = [`${usual.join(', ')} ${verb}`, `${s.alreadyListed} listed before`];
      for (const { kind, number, isUsual } of counts) {
        if (isUsual || number === 0) continue;
        parts.push(
          kind === keptLock ? `${count(number, 'lock')} kept` : `${count(number, kind.name)} ${verb}`,
        );
      }
      if (s.madeRelative > 0) parts.push(`${count(s.madeRelative, 'absolute site')} ${become} relative`);
      if (s.rewrittenJumps > 0)
        parts.push(`${count(s.rewrittenJumps, 'jump')} ${become} NOP${s.rewrittenJumps === 1 ? '' : 's'}`);
      if (s.unprovenLocks > 0) parts.push(`${count(s.unprovenLocks, 'lock')} unproven`);
      if (s.undecodableBytes) parts.push(`${count(s.undecodableBytes, 'byte')} of code undecodable`);
      if (s.keysAdded.length > 0) parts.push(`keys added: ${s.keysAdded.join(' ')}`);
      return `${s.file}: ${parts.join(', ')}`;
    }),
  );
}
