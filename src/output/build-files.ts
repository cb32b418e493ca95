// What a project's build files need for textpoke: text that is put into them, each at the place where it works.
import { TextpokeError } from '../errors.ts';

const make = `
# textpoke: objects are annotated as they are compiled, and the linker is told where the tables go.
TEXTPOKE ?= textpoke
override CC := $(TEXTPOKE) cc -- $(CC) $(shell $(TEXTPOKE) config --cflags)
override CXX := $(TEXTPOKE) cc -- $(CXX) $(shell $(TEXTPOKE) config --cflags)
override LDFLAGS += $(shell $(TEXTPOKE) config --ldflags)
`;

const cmake = `
# textpoke: objects are annotated as they are compiled, and the linker is told where the tables go.
find_program(TEXTPOKE textpoke REQUIRED)
set(CMAKE_C_COMPILER_LAUNCHER \${TEXTPOKE} cc --)
set(CMAKE_CXX_COMPILER_LAUNCHER \${TEXTPOKE} cc --)
execute_process(COMMAND \${TEXTPOKE} config --include
  OUTPUT_VARIABLE TEXTPOKE_INCLUDE OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
execute_process(COMMAND \${TEXTPOKE} config --ldflags
  OUTPUT_VARIABLE TEXTPOKE_LDFLAGS OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
include_directories(SYSTEM \${TEXTPOKE_INCLUDE})
add_link_options(\${TEXTPOKE_LDFLAGS})
`;

const meson = (languages: string) => `
# textpoke: the linker is told where the tables go. textpoke.ini has the compiler annotate objects.
textpoke = find_program('textpoke')
add_project_arguments(
  run_command(textpoke, 'config', '--cflags', check: true).stdout().strip(),
  language: [${languages}],
)
add_project_link_arguments(
  run_command(textpoke, 'config', '--ldflags', check: true).stdout().strip(),
  language: [${languages}],
)
`;

/** Compilers by the languages of meson.build. */
const compilers: ReadonlyMap<string, string> = new Map([
  ['c', 'cc'],
  ['cpp', 'c++'],
]);

const mesonNative = (languages: readonly string[]) => `# meson setup build --native-file textpoke.ini
[binaries]
${languages.map((name) => `${name} = ['textpoke', 'cc', '--', '${compilers.get(name)}']\n`).join('')}`;

/** A file of a build; `before` is undefined where there was none. */
export interface BuildFile {
  readonly name: string;
  readonly before: string | undefined;
  readonly after: string;
}

/** The end of the line in which `project(...)` ends, and what is between its parentheses; undefined without one. */
function projectCall(text: string): { readonly end: number; readonly inside: string } | undefined {
  const start = /^[ \t]*project[ \t]*\(/im.exec(text);
  if (!start) return undefined;
  const from = start.index + start[0].length;
  // Texts and comments may hold parentheses.
  const words = /"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|#.*|[()]/g;
  words.lastIndex = from;
  let depth = 1;
  for (let word = words.exec(text); word; word = words.exec(text)) {
    if (word[0] === '(') depth++;
    if (word[0] === ')') depth--;
    if (depth > 0) continue;
    const end = text.indexOf('\n', word.index);
    return { end: end < 0 ? text.length : end + 1, inside: text.slice(from, word.index) };
  }
  return undefined;
}

/** Text with something put in at a place, on lines of its own. */
function withText(text: string, at: number, added: string): string {
  const head = text.slice(0, at);
  return `${head}${head === '' || head.endsWith('\n') ? '' : '\n'}${added}${text.slice(at)}`;
}

function behindProject(name: string, text: string): { readonly end: number; readonly inside: string } {
  const call = projectCall(text);
  if (call) return call;
  throw new TextpokeError(
    'usage',
    'no project(...) is there; run textpoke init beside the file that has it',
    {
      file: name,
    },
  );
}

function mesonFiles(name: string, text: string): BuildFile[] {
  const { end, inside } = behindProject(name, text);
  const words = [...inside.matchAll(/'((?:[^'\\]|\\.)*)'/g)].map((match) => match[1] as string);
  const languages = [...compilers.keys()].filter((language) => words.slice(1).includes(language));
  if (languages.length === 0)
    throw new TextpokeError('usage', "project(...) names neither 'c' nor 'cpp'", { file: name });
  const quoted = languages.map((language) => `'${language}'`).join(', ');
  return [
    { name, before: text, after: withText(text, end, meson(quoted)) },
    { name: 'textpoke.ini', before: undefined, after: mesonNative(languages) },
  ];
}

/** Names of build files, as their tools look for them, and what each of them needs. */
export const buildFiles: ReadonlyMap<string, (name: string, text: string) => BuildFile[]> = new Map([
  ...['GNUmakefile', 'makefile', 'Makefile'].map(
    (name) =>
      [
        name,
        (file: string, text: string) => [
          { name: file, before: text, after: withText(text, text.length, make) },
        ],
      ] as const,
  ),
  [
    'CMakeLists.txt',
    (name, text) => [{ name, before: text, after: withText(text, behindProject(name, text).end, cmake) }],
  ],
  ['meson.build', mesonFiles],
]);
