// The package as npm installs it from a tarball: no warning, both commands, and the manual page where man looks.
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, readFileSync, realpathSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { builtProgram } from '../built.ts';
import { wrongBranches } from '../large-image.ts';
import { longTest, scratch } from '../tools.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));

longTest(
  'a tarball is installed without a warning, with its commands and its manual page',
  ['npm', 'tar'],
  (t) => {
    builtProgram();
    const directory = scratch(t);
    const npm = (args: readonly string[], cwd: string) =>
      spawnSync('npm', [...args, '--offline', '--no-audit'], { cwd, encoding: 'utf8' });
    const packed = npm(['pack', '--ignore-scripts', '--pack-destination', directory], root);
    assert.equal(packed.status, 0, packed.stderr);
    execFileSync('tar', ['-xzf', (packed.stdout.trim().split('\n').at(-1) as string).trim()], {
      cwd: directory,
    });
    // Dependencies would have to be fetched; all else is installed as it is.
    const manifest = join(directory, 'package', 'package.json');
    const { dependencies, optionalDependencies, ...rest } = JSON.parse(readFileSync(manifest, 'utf8'));
    assert.deepEqual(Object.keys(optionalDependencies), ['capstone-wasm', 'keystone-wasm']);
    assert.ok(!('keystone-wasm' in dependencies), 'a package with the GPL is required');
    writeFileSync(manifest, JSON.stringify(rest));
    execFileSync('tar', ['-czf', 'bare.tgz', 'package'], { cwd: directory });

    const prefix = join(directory, 'prefix');
    const installed = npm(
      ['install', '--global', '--prefix', prefix, join(directory, 'bare.tgz')],
      directory,
    );
    assert.equal(installed.status, 0, installed.stderr);
    assert.doesNotMatch(installed.stderr, /warn/i);
    for (const name of ['bin/textpoke', 'bin/textpoke-cc'])
      assert.ok(existsSync(join(prefix, name)), `${name} is missing`);
    const page = realpathSync(join(prefix, 'share/man/man1/textpoke.1'));
    assert.match(readFileSync(page, 'utf8'), /^\.TH /m);
    // A report's page lies beside the bundle.
    writeFileSync(join(directory, 'image'), wrongBranches(1));
    const made = spawnSync(join(prefix, 'bin/textpoke'), ['report', 'image', '-o', 'report.html'], {
      cwd: directory,
      encoding: 'utf8',
    });
    assert.equal(made.status, 0, made.stderr);
    assert.match(readFileSync(join(directory, 'report.html'), 'utf8'), /Content-Security-Policy/);
    const { stdout } = spawnSync(join(prefix, 'bin/textpoke'), ['--version'], { encoding: 'utf8' });
    assert.equal(stdout, `${rest.version}\n`);
    // Where an installed package has its headers and scripts, its own command says.
    const said = (...words: string[]) =>
      spawnSync(join(prefix, 'bin/textpoke'), ['config', ...words], { encoding: 'utf8' }).stdout.trim();
    assert.ok(existsSync(join(said('--include'), 'textpoke/static_key.h')), said('--include'));
    for (const machine of ['x86_64', 'aarch64', 'arm'])
      for (const more of [[], ['--gc-sections']]) {
        const script = said('--ldflags', '--machine', machine, ...more).replace(/^.*-Wl,-T,/, '');
        assert.ok(script.startsWith(realpathSync(prefix)) && existsSync(script), script);
      }
  },
);
