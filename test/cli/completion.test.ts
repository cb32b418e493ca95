// Completion by the shells themselves, and the man page by a formatter.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type TestContext } from 'node:test';
import { builtProgram } from '../built.ts';
import { linkedBytes, programUnits } from '../samples.ts';
import { startSync } from '../starter.ts';
import { run, scratch, testOfTurn, toolTest, tryRun } from '../tools.ts';

const printed = new Map<string, string>();

/** What the program prints, once for the same arguments. */
function textpoke(...args: string[]): string {
  const key = args.join(' ');
  const text = printed.get(key) ?? run(process.execPath, [builtProgram(), ...args]);
  printed.set(key, text);
  return text;
}

/** A directory with a shell's script and files to complete. */
function prepared(t: TestContext, shell: string): string {
  const directory = scratch(t);
  writeFileSync(join(directory, 'script'), textpoke('completion', shell));
  for (const name of ['prog', 'prog.up']) writeFileSync(join(directory, name), '');
  return directory;
}

/** Runs a shell's own program in `directory`; what it printed, by line, sorted. */
function said(directory: string, shell: string, program: string, ...args: string[]): string[] {
  const { stdout, stderr } = startSync(shell, [program, ...args], { cwd: directory });
  assert.equal(stderr, '');
  return stdout
    .split('\n')
    .filter((line) => line !== '')
    .sort();
}

const bashProgram = `source ./script
eval "COMP_WORDS=($1)"
COMP_CWORD=$((\${#COMP_WORDS[@]} - 1)) COMPREPLY=()
_textpoke
printf '%s\\n' "\${COMPREPLY[@]}"
`;

const fishProgram = 'source ./script\ncomplete -C $argv[1] | string replace -r "\\t.*" ""\n';

// A zsh on a terminal of its own; matches are caught where it is told of them.
const zshProgram = `zmodload zsh/zpty
zpty z zsh -f -i
zpty -w z "PS1= PS2=; unsetopt beep; autoload -Uz compinit; compinit -u -D; source ./script; compadd() { local -a matches; builtin compadd -O matches \\"\\$@\\"; print -rl -- \\\${matches} >> matches; builtin compadd \\"\\$@\\"; }; compdef _textpoke textpoke; : > matches; echo REA''DY"
while zpty -r z line; do [[ $line == *READY* ]] && break; done
zpty -n -w z "$1"$'\\t'
for i in {1..600}; do sleep 0.1; [[ -s matches ]] && break; done
sleep 0.2
zpty -d z
cat matches
`;

for (const [shell, program, end] of [
  ['bash', bashProgram, "''"],
  ['fish', fishProgram, ''],
  ['zsh', zshProgram, ''],
] as const) {
  const lines = [
    ['textpoke ver', ['verify']],
    [`textpoke boot --up-fill ${end}`, ['ds', 'nop']],
    ['textpoke boot --sta', ['--states']],
    [`textpoke completion ${end}`, ['bash', 'fish', 'zsh']],
    ['textpoke verify --original pro', ['prog', 'prog.up']],
    ['textpoke dump pro', ['prog', 'prog.up']],
  ] as const;
  for (const [turn, [line, expected]] of lines.entries()) {
    testOfTurn(turn, 6)(
      `${shell} completes "${line.replace("''", '')}" to ${expected.join(', ')}`,
      [shell],
      (t) => {
        const directory = prepared(t, shell);
        writeFileSync(join(directory, 'ask'), program);
        assert.deepEqual([...new Set(said(directory, shell, 'ask', line))], [...expected]);
      },
    );
  }
}

for (const [turn, [shell, program]] of (
  [
    ['bash', bashProgram],
    ['fish', fishProgram],
    ['zsh', zshProgram],
  ] as const
).entries()) {
  testOfTurn(turn, 3)(
    `${shell} completes names of the file or the process that is on the line`,
    [shell, 'gcc'],
    (t) => {
      const directory = prepared(t, shell);
      writeFileSync(join(directory, 'ask'), program);
      writeFileSync(join(directory, 'image'), linkedBytes('gcc-O2', programUnits));
      writeFileSync(
        join(directory, 'textpoke'),
        `#!/bin/sh\nexec ${process.execPath} ${builtProgram()} "$@"\n`,
        { mode: 0o755 },
      );
      const path = process.env.PATH;
      process.env.PATH = `${directory}:${path}`;
      const names = '#include <textpoke/static_key.h>\nDEFINE_STATIC_KEY_FALSE(tracing);\n';
      const waits =
        'int pause(void);\nint main(void) { while (!static_branch_unlikely(&tracing)) pause(); }\n';
      writeFileSync(join(directory, 'waits.c'), names + waits);
      run('gcc', ['-O1', `-I${join(import.meta.dirname, '../../include')}`, '-c', 'waits.c'], directory);
      run(process.execPath, [builtProgram(), 'annotate', 'waits.o'], directory);
      run('gcc', ['waits.o', '-o', 'waits'], directory);
      const child = spawn(join(directory, 'waits'));
      t.after(() => {
        process.env.PATH = path;
        child.kill();
      });
      for (const [line, expected] of [
        ['textpoke boot image --enable off_k', ['off_key', 'off_keys', 'off_keys+0x20']],
        ['textpoke dump image --key shared_c', ['shared_call']],
        [`textpoke ctl ${child.pid} en`, ['enable']],
        [`textpoke ctl ${child.pid} enable tra`, ['tracing']],
      ] as const)
        assert.deepEqual([...new Set(said(directory, shell, 'ask', line))], [...expected], line);
    },
  );
}

toolTest('the man page is one that mandoc has no complaint about', ['mandoc'], (t) => {
  const page = join(scratch(t), 'textpoke.1');
  writeFileSync(page, textpoke('man'));
  const { status, stdout } = tryRun('mandoc', ['-T', 'lint', '-W', 'warning', page]);
  assert.deepEqual([status, stdout.replace(/^.*missing date.*\n/m, '')], [status, '']);
});

test('the man page has every option that help has', () => {
  const page = textpoke('man')
    .replaceAll('\\-', '-')
    .replace(/\\f[BIR]/g, '');
  const commands = [...textpoke('--help').matchAll(/^ {2}(\w+) /gm)].map((match) => match[1] as string);
  assert.ok(commands.length >= 7, `${commands.length} commands`);
  for (const command of commands.filter((name) => name !== 'help')) {
    const options = textpoke(command, '--help').match(/^ {2}(-\w, )?--[\w-]+/gm) ?? [];
    assert.ok(options.length > 0, command);
    for (const option of options) assert.ok(page.includes(`\n${option.trim()}`), `${command} ${option}`);
  }
});

test('the exit statuses of the man page are those of docs/README.md', () => {
  const readme = readFileSync(join(import.meta.dirname, '..', '..', 'docs', 'README.md'), 'utf8');
  const rows = [...readme.matchAll(/^\| (\d+) \| (.*) \|$/gm)].map((match) => [match[1], match[2]]);
  const page = textpoke('man').replaceAll('\\-', '-');
  const statuses = [...page.matchAll(/^\.TP\n\\fB(\d+)\\fR\n(.*)$/gm)].map((match) => [match[1], match[2]]);
  assert.ok(rows.length > 4, `${rows.length} statuses`);
  assert.deepEqual(statuses, rows);
});
