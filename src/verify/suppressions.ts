// Findings that a project knows of and accepts (docs/config.schema.json): by rule, and by symbol and source file if
// given, each with its reason. What is wrong in the file is said with its place.
import { parseJson } from '../bytes/json.ts';
import { TextpokeError } from '../errors.ts';
import type { Located } from './finding.ts';
import { type RuleId, rules } from './rules.ts';
import { suppressionIndex } from './suppression-index.ts';

export const configSchema = 'textpoke.config/1';

/** Accepts the findings that match all of rule, symbol and file. */
export interface Suppression {
  /** Id of the rule. */
  readonly rule: RuleId;
  /** Pattern (* and ?) of the symbol that the place is named by. */
  readonly symbol?: string;
  /** Pattern of the source file, or of the last parts of its path. */
  readonly file?: string;
  /** Why they are accepted. */
  readonly reason: string;
}

/** Findings that are known and accepted (docs/config.schema.json). */
export interface ConfigDocument {
  /** Where editors find the schema. */
  readonly $schema?: string;
  readonly schema: 'textpoke.config/1';
  /** The first that matches a finding accepts it. */
  readonly suppress: readonly Suppression[];
}

export interface Suppressed {
  readonly finding: Located;
  readonly reason: string;
}

const fields = ['rule', 'symbol', 'file', 'reason'] as const;

function fail(where: string, message: string): never {
  throw new TextpokeError('config-malformed', `${where}: ${message}`);
}

type Fields = Readonly<Record<string, unknown>>;

function objectWith(where: string, value: unknown, known: readonly string[]): Fields {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    fail(where, 'an object is required');
  const stranger = Object.keys(value).find((name) => !known.includes(name));
  if (stranger !== undefined)
    fail(where, `unknown field ${JSON.stringify(stranger)}; known fields: ${known.join(', ')}`);
  return value as Fields;
}

/** Reads a configuration from its text. Error `config-malformed`. */
export function parseConfig(text: string): Suppression[] {
  let document: unknown;
  try {
    document = parseJson(text);
  } catch (error) {
    fail('the configuration', `the file is not valid JSON: ${(error as Error).message}`);
  }
  return readConfig(document);
}

/** Reads a configuration that is parsed already. Error `config-malformed`. */
export function readConfig(document: unknown): Suppression[] {
  const config = objectWith('the configuration', document, ['$schema', 'schema', 'suppress']);
  if (config.schema !== configSchema) fail('schema', `${JSON.stringify(configSchema)} is required`);
  if (!Array.isArray(config.suppress)) fail('suppress', 'an array is required');
  return config.suppress.map((value, i) => readSuppression(`suppress[${i}]`, value));
}

function readSuppression(where: string, value: unknown): Suppression {
  const found = objectWith(where, value, fields);
  for (const name of fields) {
    const text = found[name];
    if (text === undefined && (name === 'symbol' || name === 'file')) continue;
    if (typeof text !== 'string' || text.trim() === '')
      fail(`${where}.${name}`, 'a string that is not empty or blank is required');
  }
  if (!Object.hasOwn(rules, found.rule as string))
    fail(`${where}.rule`, `unknown rule ${JSON.stringify(found.rule)}; textpoke explain lists all rules`);
  return found as unknown as Suppression;
}

/** Parts findings into those that stay and those that are suppressed; `path` names the configuration. */
export function suppress(
  findings: readonly Located[],
  suppressions: readonly Suppression[],
  path: string,
): { readonly kept: readonly Located[]; readonly suppressed: readonly Suppressed[] } {
  const firstOf = suppressionIndex(suppressions);
  const used = new Set<Suppression>();
  const suppressed: Suppressed[] = [];
  const kept: Located[] = [];
  for (const finding of findings) {
    const first = firstOf(finding);
    const by = first === undefined ? undefined : suppressions[first];
    if (by) {
      used.add(by);
      suppressed.push({ finding, reason: by.reason });
    } else kept.push(finding);
  }
  for (const [i, suppression] of suppressions.entries()) {
    if (used.has(suppression)) continue;
    const { rule, symbol, file } = suppression;
    const what = [rule, symbol === undefined ? '' : `in ${symbol}`, file === undefined ? '' : `of ${file}`];
    const message = `suppress[${i}] (${what.filter((word) => word !== '').join(' ')}) matches no finding`;
    kept.push({ rule: 'TP026', address: undefined, place: path, message });
  }
  return { kept, suppressed };
}
