// Runs a document: its blocks one after the other, by one shell, in a directory of its own.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { TestContext } from 'node:test';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { builtProgram } from '../built.ts';
import { hasTool, run, scratch } from '../tools.ts';
import { type Block, blocksOf, type Command, commandsOf, isSaid } from './blocks.ts';
import { scriptsOf } from './workflows.ts';

export const root = join(import.meta.dirname, '..', '..');

/** Addresses and bytes in a document are those of the compilers that made the samples. */
function isSameCompiler(): boolean {
  const [version] = hasTool('gcc') ? run('gcc', ['--version']).split('\n') : [''];
  return readFileSync(join(root, 'samples', 'objects', 'VERSIONS'), 'utf8').startsWith(`${version}\n`);
}

const withoutAddresses = (line: string) =>
  line.replace(/\b0x[0-9a-f]+|\b[0-9a-f]{2}( [0-9a-f]{2})+\b|[+-]0x[0-9a-f]+/g, '0x').replace(/ +/g, ' ');

/** Of another kernel, numbers are other ones too. */
const withoutNumbers = (line: string) => withoutAddresses(line).replace(/\b\d[\d,.]*/g, '0');

/** What a document of JSON has that its schema does not allow; it must name one. */
function faultOfDocument(document: { readonly schema?: unknown }): string | undefined {
  const [, name] = /^textpoke\.(\w+)\/\d+$/.exec(String(document.schema)) ?? [];
  if (name === undefined) return 'names no schema';
  const schema = JSON.parse(readFileSync(join(root, 'docs', `${name}.schema.json`), 'utf8'));
  const ajv = new Ajv2020({ strict: true, strictRequired: false, strictTypes: false });
  return ajv.validate(schema, document) ? undefined : ajv.errorsText();
}

/** What a shell is to do, and what for. */
interface Step {
  readonly line: number;
  readonly script: string;
  readonly command?: Command;
}

function stepsOf(blocks: readonly Block[], directory: string, path: string): Step[] {
  return blocks.flatMap((block): Step[] => {
    const { language, name, text, line } = block;
    if (block.notRun !== undefined || block.runBy !== undefined) return [];
    if (language === 'console')
      return commandsOf(block).map((command) => ({ line: command.line, script: command.text, command }));
    if (language === 'sh') return [{ line, script: text }];
    if (language === 'json') {
      const fault = faultOfDocument(JSON.parse(text));
      assert.equal(fault, undefined, `${path}:${line}`);
      if (name === '') return [];
    }
    const isFile = name !== '' && /^(c|json|yaml|make|ini|text)$/.test(language);
    assert.ok(isFile, `${path}:${line}: a block of ${language || 'no language'} that nobody runs`);
    const kept = join(directory, '.blocks', String(line));
    writeFileSync(kept, text);
    const written = { line, script: `mkdir -p "$(dirname ${name})"\ncp "$blocks/${line}" ${name}\n` };
    if (language !== 'yaml') return [written];
    return [written, ...scriptsOf(text).scripts.map((script) => ({ line, script }))];
  });
}

/** What one command came to. */
export interface Ran extends Step {
  readonly status: number | undefined;
  readonly said: readonly string[];
}

/** Runs the blocks of a document in a fresh directory with `textpoke` on the PATH. */
export function runDocument(t: TestContext, path: string, prepare = ''): Ran[] {
  const directory = scratch(t);
  for (const name of ['.blocks', '.path', 'work']) mkdirSync(join(directory, name));
  symlinkSync(builtProgram(), join(directory, '.path', 'textpoke'));
  symlinkSync(join(dirname(builtProgram()), 'textpoke-cc'), join(directory, '.path', 'textpoke-cc'));
  symlinkSync(join(root, 'include'), join(directory, 'work', 'include'));
  for (const name of ['build', 'demo', 'runtime'])
    cpSync(join(root, 'samples', name), join(directory, 'work', 'samples', name), { recursive: true });
  const steps = stepsOf(blocksOf(path), directory, path);
  const script = steps.map(({ script, command }, i) => {
    const output = `"$blocks/${i}.out"`;
    // A command's status is told; any other failure ends the shell.
    return command
      ? `{\n${script}\n} > ${output} 2>&1\necho $? > "$blocks/${i}.status"\n`
      : `set -e\n{\n${script}\n} > ${output} 2>&1\nset +e\necho 0 > "$blocks/${i}.status"\n`;
  });
  const file = join(directory, 'script');
  writeFileSync(file, `${prepare}\n${script.join('')}`);
  const inherited = Object.entries(process.env).filter(
    ([name]) => !/^(TEXTPOKE_|MAKEFLAGS$|NODE_)/.test(name),
  );
  const env = {
    ...Object.fromEntries(inherited),
    PATH: `${directory}/.path:${process.env.PATH}`,
    LC_ALL: 'C',
    TERM: 'dumb',
    HOME: directory,
    DEBUGINFOD_URLS: '',
    blocks: join(directory, '.blocks'),
  };
  const shell = spawnSync('bash', [file], {
    cwd: join(directory, 'work'),
    env,
    encoding: 'utf8',
    timeout: 10 * 60_000,
  });
  assert.equal(shell.stderr + shell.stdout, '', path);
  const read = (i: number, what: string) => {
    const name = join(directory, '.blocks', `${i}.${what}`);
    return existsSync(name) ? readFileSync(name, 'utf8') : undefined;
  };
  return steps.map((step, i) => {
    const status = read(i, 'status');
    return {
      ...step,
      status: status === undefined ? undefined : Number(status),
      said: (read(i, 'out') ?? '').split('\n').slice(0, -1),
    };
  });
}

/** What is wrong with a step; undefined for what did and said what the document says. */
export function faultOf({ status, said, command }: Ran, isOfOtherKernel = false): string | undefined {
  if (status === undefined) return `failed, or was not reached:\n${said.join('\n')}`;
  if (!command) return undefined;
  const expected = [...command.output];
  if (expected.length === 0 && status !== 0) return `exit status ${status}:\n${said.join('\n')}`;
  const looser = [
    ...(isSameCompiler() && !isOfOtherKernel ? [] : [withoutAddresses]),
    ...(isOfOtherKernel ? [withoutNumbers] : []),
  ];
  const same = isSaid(expected, said) || looser.some((plain) => isSaid(expected.map(plain), said.map(plain)));
  return same ? undefined : `said:\n${said.join('\n')}\ninstead of:\n${expected.join('\n')}`;
}
