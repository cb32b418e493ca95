// What a compiler's command line will leave behind, by the rules of the drivers of gcc and clang (gcc's manual,
// "Overall Options" and "Preprocessor Options").
import { basename } from 'node:path';
import { expandWords } from '../files/response-file.ts';

/** Options whose argument is the next word. What follows them is no input. */
const takesArgument = new Set(
  (
    '-D -U -I -L -l -A -B -T -e -u -z -F -G -include -imacros -idirafter -iprefix -iwithprefix ' +
    '-iwithprefixbefore -isystem -iquote -isysroot -imultilib -imultiarch -iframework -cxx-isystem -ivfsoverlay ' +
    '-MF -MT -MQ -MJ -Xlinker -Xpreprocessor -Xassembler -Xclang -Xanalyzer -Xopenmp-target -Xarch_host -mllvm ' +
    '-arch -target -resource-dir -gcc-toolchain --param -aux-info -dumpbase -dumpbase-ext -dumpdir -wrapper -specs ' +
    '-working-directory --serialize-diagnostics --sysroot -framework --config -index-store-path -dependency-dot ' +
    '--define-macro --undefine-macro --include-directory --include-directory-after --include-prefix --include ' +
    '--imacros --assert --library-directory --prefix --force-link --for-assembler --for-linker'
  ).split(' '),
);

/** Files that are compiled or assembled. Headers become precompiled headers, which hold no code. */
const source =
  /\.(c|i|ii|m|mi|mm|M|mii|cc|cp|cxx|cpp|CPP|c\+\+|C|s|S|sx|f|for|ftn|F|FOR|fpp|FPP|FTN|f90|f95|f03|f08|F90|F95|F03|F08|d|ads|adb|go|ll|bc)$/;

/** Work that ends before there is an object, or that only tells something. */
const endsBefore =
  /^(-S|-E|-M|-MM|-###|-fsyntax-only|--help.*|--version|-dumpversion|-dumpmachine|-print-.*|--print-.*|--preprocess|--assemble|--(user-)?dependencies|-emit-.*|--precompile|--analyze)$/;

/**
 * Options that name further files after the object, or write its name into it: debug information and notes of its own
 * (-gsplit-dwarf, --coverage), dumps, statistics, command lines. Under another name the object would not be the same.
 */
const usesName =
  /^(--$|-gsplit-dwarf|-[fg]record-|--?coverage$|--?save-|-d|-f(profile|test-coverage|dump|stack-usage|callgraph-info|opt-info|save-opt|time-trace|module-output|diagnostics-(format|add|set)|deps-|compare-debug|embed-bitcode|plugin|proc-stat-report)|-MJ|-gen-cdb|-index-|-working-directory|-wrapper|--?specs|--config|-Xclang$)/;

/** An assembler's options of that sort: dependencies of the object (--MD), listings, another output, a response file. */
const assemblerUsesName = /^(--?M|-a|-o|@)/;

/** Options that hand the next word to the assembler. */
const toAssembler = new Set(['-Xassembler', '--for-assembler']);

/** gcc's preprocessor calls the object after the source; clang takes it from -o, whoever asks for dependencies. */
const isGcc = (word: string) => /(^|[-/])(gcc|g\+\+)(-[\d.]+)?$/.test(word);
const preprocessorDependencies = /^-Wp,(.*,)?-MM?D/;

const writesDependencies = /^(-MM?D|--write-(user-)?dependencies)$/;

/** Ada's compiler writes what it knows of a unit (.ali) beside the object. */
const writesBeside = /\.ad[sb]$/;

/** An object that a line makes. */
export interface CompiledObject {
  readonly path: string;
  /** The line that makes the very same object under another name, where there is such a line. */
  readonly under?: ((name: string) => string[]) | undefined;
  /** An assembler's: where it holds nothing but bytecode, the linker compiles that. */
  readonly isAssembled?: true;
}

export interface CompilerLine {
  /** None for a line that links, preprocesses or only asks. */
  readonly objects: readonly CompiledObject[];
  /** Sources that are compiled and linked at once: their objects are gone before anybody sees them. */
  readonly linkedAtOnce: readonly string[];
  /** What a line links. */
  readonly image?: string | undefined;
}

/** What a link takes besides sources. */
const linked = /\.(o|lo|obj|a|so(\.\d+)*)$/;

/** An assembler by itself leaves one object (gas's manual, "-o"). */
const assembler = /^(.*-)?as$/;

function readAssemblerLine(words: readonly string[]): CompilerLine {
  const at = words.findLastIndex((word) => word.startsWith('-o'));
  const word = words[at] ?? '-oa.out';
  const path = word === '-o' ? words[at + 1] : word.slice(2);
  const isAsking = words.some((one) => one === '--version' || one === '--help');
  return { objects: path === undefined || isAsking ? [] : [{ path, isAssembled: true }], linkedAtOnce: [] };
}

/** Without its suffix, as the drivers derive names from it. */
function stem(path: string): string {
  return path.replace(/(?<=[^/])\.[^./]*$/, '');
}

/**
 * Reads a compiler's line: the compiler with its arguments; launchers may stand in front of it (`ccache gcc -c x.c`).
 * Response files in it are read.
 */
export function readCompilerLine(words: readonly string[]): CompilerLine {
  const expanded = expandWords(words);
  const isPlain = expanded.length === words.length && expanded.every((word, i) => word === words[i]);
  if (assembler.test(basename(words[0] ?? ''))) return readAssemblerLine(expanded);
  const options = expanded.findIndex((word) => word.startsWith('-'));
  const compiler = expanded.slice(0, Math.max(options, 1));
  const inputs: string[] = [];
  let unknown = 0;
  const seen = { compile: false, end: false, name: false, dependencies: false, MF: false, target: false };
  let output: { readonly at: number; readonly end: number; readonly path: string } | undefined;
  let language = 'none';
  let i = 1;
  for (; i < expanded.length; i++) {
    const word = expanded[i] as string;
    if (word === '-c' || word === '--compile') seen.compile = true;
    else if (word === '-o' || word === '--output') output = { at: i, end: i + 2, path: expanded[++i] ?? '-' };
    else if (/^(--output=|-o)./.test(word)) {
      output = { at: i, end: i + 1, path: word.replace(/^(--output=|-o)/, '') };
    } else if (word === '-x') language = expanded[++i] ?? 'none';
    else if (/^-x./.test(word)) language = word.slice(2);
    else if (word === '-' || !word.startsWith('-')) {
      seen.name ||= writesBeside.test(word);
      if (language === 'none' ? source.test(word) : !language.endsWith('-header')) inputs.push(word);
      // A launcher's words and the compiler's own name stand in front of every option.
      else if (inputs.length > 0 || expanded.slice(1, i).some((w) => w.startsWith('-'))) unknown++;
    } else {
      seen.end ||= endsBefore.test(word);
      seen.name ||= usesName.test(word);
      if (word.startsWith('-Wa,')) seen.name ||= word.split(',').some((w) => assemblerUsesName.test(w));
      if (toAssembler.has(word)) seen.name ||= assemblerUsesName.test(expanded[i + 1] ?? '');
      if (word === '-Xpreprocessor' || preprocessorDependencies.test(word))
        seen.name ||= !compiler.some(isGcc);
      seen.dependencies ||= writesDependencies.test(word);
      seen.MF ||= word.startsWith('-MF');
      seen.target ||= word.startsWith('-MT') || word.startsWith('-MQ');
      if (takesArgument.has(word)) i++;
    }
  }
  // The last argument is missing: what is added behind the line would be taken for it.
  seen.name ||= i === expanded.length + 1;
  const isLink = !seen.end && !seen.compile && (inputs.length > 0 || expanded.some((w) => linked.test(w)));
  if (isLink) return { objects: [], linkedAtOnce: inputs, image: output?.path ?? 'a.out' };
  if (seen.end || inputs.length === 0) return { objects: [], linkedAtOnce: [] };
  if (output?.path === '-') return { objects: [], linkedAtOnce: [] };
  const paths = output ? [output.path] : inputs.map((input) => `${stem(basename(input))}.o`);
  const [path] = paths;
  const isOne = inputs.length === 1 && (output !== undefined || unknown === 0);
  if (path === undefined || !isPlain || seen.name || !isOne) {
    return { objects: paths.map((one) => ({ path: one })), linkedAtOnce: [] };
  }
  const { at, end } = output ?? { at: words.length, end: words.length };
  const under = (name: string) => [
    ...words.slice(0, at),
    '-o',
    name,
    // What the compiler would derive from the name of the object.
    ...(seen.dependencies && !seen.MF ? ['-MF', `${stem(path)}.d`] : []),
    ...(seen.dependencies && !seen.target ? ['-MQ', path] : []),
    ...words.slice(end),
  ];
  return { objects: [{ path, under }], linkedAtOnce: [] };
}
