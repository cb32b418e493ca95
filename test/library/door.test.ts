// The library's door, src/index.ts, read from the types that are published: whoever uses an export can name every type
// that it mentions, and read what it is.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import test, { after, before } from 'node:test';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** Types that every program has. */
const everywhere = new Set(
  'Error Iterable Partial Pick Promise Readonly Record ArrayBuffer ArrayBufferLike Uint8Array Uint32Array Float64Array'.split(
    ' ',
  ),
);

/** A declaration: its text without comments and texts, and the comment in front of it. */
interface Declaration {
  readonly text: string;
  readonly comment: string;
}

interface TypesFile {
  readonly declarations: ReadonlyMap<string, Declaration>;
  /** Where names come from that are imported or exported again. */
  readonly from: ReadonlyMap<string, { readonly file: string; readonly name: string }>;
}

let types: string;
const files = new Map<string, TypesFile>();

before(() => {
  types = mkdtempSync(join(tmpdir(), 'textpoke-test-'));
  const tsc = join(root, 'node_modules/typescript/bin/tsc');
  execFileSync(process.execPath, [tsc, '-p', join(root, 'tsconfig.types.json'), '--outDir', types]);
});
after(() => rmSync(types, { recursive: true, force: true }));

/** The statements of a declaration file, each ending with its semicolon or its last brace. */
function statementsOf(text: string): Declaration[] {
  const statements: Declaration[] = [];
  const parts = text.matchAll(/\/\*[\s\S]*?\*\/|\/\/.*|'[^'\n]*'|"[^"\n]*"|`[^`]*`|[\s\S]/g);
  let comment = '';
  let statement = '';
  let depth = 0;
  for (const [part] of parts) {
    if (part.startsWith('/*') || part.startsWith('//')) {
      if (statement.trim() === '') comment = part;
      continue;
    }
    statement += part;
    if ('{([<'.includes(part)) depth++;
    else if ('})]'.includes(part) || (part === '>' && !statement.endsWith('=>'))) depth--;
    const isBody = part === '}' && /^\s*export (declare )?(interface|class)/.test(statement);
    if (depth > 0 || !(part === ';' || isBody)) continue;
    statements.push({ text: statement.trim(), comment });
    comment = '';
    statement = '';
  }
  assert.equal(statement.trim(), '', 'every statement ends');
  return statements;
}

function read(file: string): TypesFile {
  let found = files.get(file);
  if (found) return found;
  const declarations = new Map<string, Declaration>();
  const from = new Map<string, { file: string; name: string }>();
  for (const statement of statementsOf(readFileSync(file, 'utf8'))) {
    const list = /^(?:import|export)(?: type)? \{([^}]*)\} from '(.*)';$/.exec(statement.text);
    if (list) {
      const target = join(dirname(file), (list[2] as string).replace(/\.ts$/, '.d.ts'));
      for (const item of (list[1] as string).trim().replace(/,$/, '').split(',')) {
        const [name, as = name] = item
          .trim()
          .replace(/^type /, '')
          .split(' as ') as [string, string?];
        from.set(as, { file: target, name });
      }
      continue;
    }
    const name = /^(?:export )?(?:declare )?(?:abstract )?(?:interface|type|function|const|class) (\w+)/.exec(
      statement.text,
    )?.[1];
    if (name) {
      const text = statement.text.replace(/'[^'\n]*'|"[^"\n]*"/g, "''");
      declarations.set(name, { text, comment: statement.comment });
    }
  }
  found = { declarations, from };
  files.set(file, found);
  return found;
}

/** What the door exports: `FILE NAME` of where each is declared, by the name under which it is exported. */
function exported(): Map<string, { readonly file: string; readonly name: string }> {
  return new Map(read(join(types, 'index.d.ts')).from);
}

/** The names of types, and of values whose type is asked for, that a declaration mentions. */
function mentioned(text: string): Set<string> {
  const own = new Set<string>();
  // Parameters of types, and what mapped types count through.
  for (const [, list] of text.matchAll(/(?:interface|type|function|class) \w+<([^>]*)>/g))
    for (const part of (list as string).split(',')) own.add(part.trim().split(' ')[0] as string);
  for (const [, name] of text.matchAll(/\[(\w+) in /g)) own.add(name as string);
  const names = [
    ...text.matchAll(/(?<![\w.$])([A-Z]\w*)(?!\w|\s*\??:(?!\s*\())/g),
    ...text.matchAll(/typeof (\w+)/g),
  ];
  return new Set(names.map(([, name]) => name as string).filter((name) => !own.has(name)));
}

test('every export is declared where the door says, with a comment of its own', () => {
  const without = [...exported()].filter(([, { file, name }]) => {
    const declaration = read(file).declarations.get(name);
    assert.ok(declaration, `${name} is declared in ${file}`);
    return !/^\/\*\*\s*\S/.test(declaration.comment);
  });
  assert.deepEqual(
    without.map(([name]) => name),
    [],
  );
});

test('every name that an exported declaration mentions is exported', () => {
  const door = exported();
  const known = new Set(Array.from(door.values(), ({ file, name }) => `${file} ${name}`));
  const missing = new Set<string>();
  for (const [as, { file, name }] of door) {
    const { declarations, from } = read(file);
    const text = declarations.get(name)?.text ?? '';
    assert.doesNotMatch(text, /import\(/, `${as} mentions no type by its file`);
    for (const other of mentioned(text)) {
      const target = from.get(other) ?? (declarations.has(other) ? { file, name: other } : undefined);
      if (!target && everywhere.has(other)) continue;
      if (!target || !known.has(`${target.file} ${target.name}`)) missing.add(`${as} mentions ${other}`);
    }
  }
  assert.deepEqual([...missing], []);
});

test('the declarations are looked at closely enough to miss nothing', () => {
  const of = (text: string) => [...mentioned(text)];
  assert.deepEqual(of('export interface A<T> extends B<T> { readonly C: D; E?: F; g(h: I): J[K]; }'), [
    'A',
    'B',
    'D',
    'F',
    'I',
    'J',
    'K',
  ]);
  assert.deepEqual(of('export type A = { readonly [Name in keyof B]?: C<B[Name]> };'), ['A', 'B', 'C']);
  assert.deepEqual(of('export type A = (typeof list)[number];'), ['A', 'list']);
  assert.equal(exported().size > 60, true);
});
