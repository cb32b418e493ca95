// Writes into documents what their commands print: tsx test/docs/write.ts FILE... Outputs with `...` stay as they are.
import { readFileSync, writeFileSync } from 'node:fs';
import type { TestContext } from 'node:test';
import { blocksOf, commandsOf, isSaid } from './blocks.ts';
import { preparations } from './documents.ts';
import { runDocument } from './run.ts';

const ends: (() => void)[] = [];
const context = { after: (end: () => void) => ends.push(end) } as unknown as TestContext;
for (const path of process.argv.slice(2)) {
  const lines = readFileSync(path, 'utf8').split('\n');
  const ran = runDocument(context, path, preparations[path.replace(/^.*?(docs\/|README)/, '$1')]);
  for (const { command, said, status, script, line } of ran.reverse()) {
    if (status === undefined) console.error(`${path}:${line}: failed: ${script}\n${said.join('\n')}`);
    if (!command || isSaid(command.output, said)) continue;
    if (command.output.some((one) => one.includes('...'))) {
      console.error(`${path}:${line}: ${script}\n${said.join('\n')}`);
      continue;
    }
    const from = command.line + command.text.split('\n').length - 1;
    lines.splice(from, command.output.length, ...said.map((one) => one.trimEnd()));
  }
  writeFileSync(path, lines.join('\n'));
  blocksOf(path)
    .filter(({ language }) => language === 'console')
    .forEach(commandsOf);
}
for (const end of ends) end();
