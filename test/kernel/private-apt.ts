// An apt of the test's own: nothing of the machine's is read but the keys of debian-archive-keyring, and nothing of it
// is changed.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const keys = '/usr/share/keyrings/debian-archive-keyring.gpg';

/**
 * Makes `root` a directory that apt works in; `suites` are mirrors with the names of their suites. Returns the environment
 * for apt's commands. `arch` is the machine's own unless given.
 */
export function privateApt(root: string, suites: readonly string[], arch?: string): NodeJS.ProcessEnv {
  const place = (name: string) => join(root, name);
  for (const name of ['state/lists/partial', 'cache/archives/partial', 'none'])
    mkdirSync(place(name), { recursive: true });
  const settings = {
    Dir: root,
    'Dir::State': place('state'),
    'Dir::State::status': place('status'),
    'Dir::Cache': place('cache'),
    'Dir::Etc::sourcelist': place('sources.list'),
    ...Object.fromEntries(
      ['sourceparts', 'parts', 'main', 'preferences', 'preferencesparts', 'trusted', 'trustedparts'].map(
        (part) => [`Dir::Etc::${part}`, place('none')],
      ),
    ),
    ...(arch !== undefined && { 'APT::Architecture': arch }),
    'APT::Sandbox::User': '',
    'Acquire::Languages': 'none',
  };
  const lines = Object.entries(settings).map(([setting, value]) => `${setting} "${value}";\n`);
  const only = arch === undefined ? '' : `APT::Architectures { "${arch}"; };\n`;
  writeFileSync(place('apt.conf'), `${lines.join('')}${only}`);
  writeFileSync(place('status'), '');
  const sources = suites.map((suite) => `deb [signed-by=${keys}] ${suite} main\n`);
  writeFileSync(place('sources.list'), sources.join(''));
  return { ...process.env, APT_CONFIG: place('apt.conf'), LC_ALL: 'C' };
}
