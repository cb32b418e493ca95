// Annotated objects link as before, with every linker and by every way, and each linked program runs, boots and
// verifies. How many entries an image has to list is known from its objects.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { hasTool, run, toolTest } from '../tools.ts';
import {
  addressOf,
  annotated,
  assertVerified,
  boot,
  comdatOutput,
  comdatUnits,
  countEntries,
  expected,
  fresh,
  imageSymbols,
  type Link,
  link,
  linkers,
  once,
  output,
  readTables,
  type Script,
  units,
} from './programs.ts';

const tools = ['gcc', 'clang', 'ld.bfd', 'ld.lld', 'readelf'];
const cxx = [...tools, 'g++', 'clang++'];
const compilers = ['gcc', 'clang'];
const scripts: readonly Script[] = ['none', 'ldscript'];

/** Sites of the sample program: 21 static branches, 16 static calls (clang -Os writes one that gcc writes too), 6 locks. */
const entries: [number, number, number] = [21, 16, 6];

/** Links, runs, verifies; boots, runs, verifies. */
function prove(request: Link, prints: string, counts: readonly number[]): void {
  const what = JSON.stringify(request);
  const linked = link(request);
  assert.equal(output(linked), prints, what);
  assert.deepEqual(countEntries(linked.image), counts, what);
  assertVerified(linked.image, ['--linked'], what);
  const booted = boot(linked.image);
  assert.equal(output(linked, booted), prints, `booted: ${what}`);
  assertVerified(booted, ['--original', linked.image], `booted: ${what}`);
}

for (const compiler of compilers) {
  for (const level of ['O0', 'O2', 'Os']) {
    toolTest(
      `annotated objects of ${compiler} -${level} link to a dynamic and to a static program that runs, boots and verifies: both linkers, with and without script`,
      tools,
      () => {
        for (const linker of linkers)
          for (const kind of ['no-pie', 'static'] as const)
            for (const script of scripts) prove({ set: `${compiler}-${level}`, linker, kind, script }, expected(), entries);
      },
    );
  }
  for (const set of ['O0-fPIE', 'O2-ffunction-sections']) {
    toolTest(`annotated objects of ${compiler} -${set} link to a PIE that runs, boots and verifies`, tools, () => {
      for (const linker of linkers)
        for (const script of scripts)
          prove({ set: `${compiler}-${set}`, linker, kind: 'PIE', script }, expected(), entries);
    });
  }
  toolTest(
    `annotated objects of ${compiler} -O2-fPIC link to a shared object that the program runs with, booted too`,
    tools,
    () => {
      for (const linker of linkers)
        for (const script of scripts)
          prove({ set: `${compiler}-O2-fPIC`, linker, kind: 'shared', script }, expected(), entries);
    },
  );
  for (const via of linkers) {
    toolTest(`annotated objects of ${compiler} that ld.${via} -r put together first keep every entry`, tools, () => {
      for (const linker of linkers) {
        for (const script of scripts) {
          prove({ set: `${compiler}-O2`, linker, kind: 'no-pie', script, via }, expected(), entries);
          prove({ set: `${compiler}-O2-ffunction-sections`, linker, kind: 'PIE', script, via }, expected(), entries);
        }
      }
    });
  }
}
