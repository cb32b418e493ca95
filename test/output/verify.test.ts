// What verify prints for machines, for findings with the worst names: held against the published schemas.
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { Ajv } from 'ajv';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { findingsText } from '../../src/output/findings.ts';
import { githubText } from '../../src/output/github.ts';
import { junitXml } from '../../src/output/junit.ts';
import { documentLines, documentText } from '../../src/output/pieces.ts';
import { sarifLog, sarifText } from '../../src/output/sarif.ts';
import { jsonText } from '../../src/output/text.ts';
import { verifyJson, verifyLater } from '../../src/output/verify.ts';
import type { Finding, Located } from '../../src/verify/finding.ts';
import { makeReport, type Report } from '../../src/verify/report.ts';
import { ruleIds, rules } from '../../src/verify/rules.ts';
import { imageOf, linkedBytes, programUnits } from '../samples.ts';
import { run, scratch, toolTest, tryRun } from '../tools.ts';

const root = join(import.meta.dirname, '..', '..');
const image = imageOf(linkedBytes('gcc-O2', programUnits));
const address = image.code[0]!.address;
const counts = { branches: 1, calls: 2, locks: 3, barriers: 0 };
const textOf = (pieces: Iterable<string>) => [...pieces].join('');
const parse = (path: string) => JSON.parse(readFileSync(path, 'utf8'));

const hostile = 'a<b>&"c"\' ]]>%0A::error::x,y:z\n\r\t\x00\x1b[31m\ud800\ufffe é𝄞';

/** A report with a finding of every rule, and places of every kind. */
function reportOf(text: string, suppressed = false): Report {
  const found = Uint8Array.of(0xcc, 0x90);
  const findings = ruleIds.map(
    (rule, i): Finding => ({
      rule,
      address: i % 3 === 2 ? undefined : i % 3 === 1 ? -0x7f00_0000 : address,
      place: text,
      message: text,
      ...(i % 2 ? { found, expected: found, entry: address } : {}),
    }),
  );
  const report = makeReport(text, image, findings, { given: ['original'] });
  const located = report.findings.map(
    (finding, i): Located => (i % 2 ? finding : { ...finding, source: { file: text, line: i + 1 } }),
  );
  const accepted = suppressed ? located.map((finding) => ({ finding, reason: text })) : [];
  return { ...report, findings: located, suppressed: accepted };
}

const reports = {
  good: makeReport('image', image, [], {}),
  plain: reportOf('main+0x10'),
  hostile: reportOf(hostile, true),
};

test('a good image is silent in text and as annotations', () => {
  assert.equal(textOf(findingsText(reports.good)) + textOf(githubText(reports.good, undefined)), '');
});

test('text has errors in front of warnings, and a heading for each rule', () => {
  const headings = textOf(findingsText(reports.plain, { all: true }))
    .split('\n')
    .filter((line) => /: (error|warning) TP/.test(line));
  const severities = headings.map((line) => /: (error|warning) /.exec(line)![1]);
  assert.equal(headings.length, ruleIds.length);
  assert.deepEqual(severities, [...severities].sort());
});

/** The schema of SARIF, which is not part of this repository (test/schemas/README.md). */
const sarifSchema = process.env.TEXTPOKE_SARIF_SCHEMA;

for (const [name, report] of Object.entries(reports)) {
  test(`JSON is as docs/verify.schema.json has it: ${name}`, () => {
    const schema = parse(join(root, 'docs', 'verify.schema.json'));
    const conforms = new Ajv2020({ strict: true, strictRequired: false, strictTypes: false }).compile(schema);
    const document = JSON.parse(JSON.stringify(verifyJson(report, counts)));
    const isGood: boolean = conforms(document);
    assert.ok(isGood, JSON.stringify(conforms.errors));
    if (report.findings.length === 0) return;
    document.findings[0].address = 4096;
    assert.equal(conforms(document), false);
  });

  test(`what is written in pieces is the document as a whole: ${name}`, () => {
    assert.equal(
      textOf(documentText(verifyLater(report, counts))),
      `${jsonText(verifyJson(report, counts), 2)}\n`,
    );
    assert.equal(textOf(sarifText(report)), `${jsonText(sarifLog(report))}\n`);
  });

  test(`JSON Lines are the document without findings, then the findings: ${name}`, () => {
    const document = verifyJson(report, counts);
    const text = textOf(documentLines(verifyLater(report, counts), ['findings', 'suppressed']));
    const [head, ...items] = text
      .split('\n')
      .slice(0, -1)
      .map((line): unknown => JSON.parse(line));
    assert.deepEqual(head, JSON.parse(JSON.stringify({ ...document, findings: [], suppressed: [] })));
    assert.deepEqual(items, JSON.parse(JSON.stringify([...document.findings, ...document.suppressed])));
  });

  test(`SARIF has what its types say, nothing is lost on the way to JSON, and names are URIs: ${name}`, () => {
    // The types of @types/sarif are made from the schema; what they cannot see is what JSON makes of a value.
    const log = sarifLog(report);
    const read: ReturnType<typeof sarifLog> = JSON.parse(JSON.stringify(log));
    const seen = (value: unknown): unknown =>
      Array.isArray(value)
        ? value.map(seen)
        : typeof value === 'object' && value !== null
          ? Object.fromEntries(
              Object.entries(value)
                .filter(([, field]) => field !== undefined)
                .map(([key, field]) => [key, seen(field)]),
            )
          : value;
    assert.deepEqual(read, seen(log));
    const uris = JSON.stringify(read).matchAll(/"uri":("(?:[^"\\]|\\.)*")/g);
    for (const [, uri] of uris) assert.match(JSON.parse(uri as string), /^[\w\-.~:/?#[\]@!$&'()*+,;=%]*$/);
    if (sarifSchema === undefined) return;
    // Draft 4 in all but what is taken out here.
    const { $schema: _, id: __, ...schema } = parse(sarifSchema);
    const conforms = new Ajv({ strict: false, validateFormats: false }).compile(schema);
    const isGood: boolean = conforms(read);
    assert.ok(isGood, JSON.stringify(conforms.errors));
    const wrong = { ...read, runs: [{ ...read.runs[0], results: [{ ruleId: 7 }] }] };
    assert.equal(conforms(wrong), false);
  });

  toolTest(`JUnit XML is as test/schemas/junit.xsd has it: ${name}`, ['xmllint'], (t) => {
    const path = join(scratch(t), 'junit.xml');
    const lint = () => tryRun('xmllint', ['--noout', '--schema', join(root, 'test/schemas/junit.xsd'), path]);
    const text = textOf(junitXml(report, ['error']));
    writeFileSync(path, text);
    const { status, stderr } = lint();
    assert.equal(status, 0, stderr);
    const ask = (expression: string) => run('xmllint', ['--xpath', expression, path]).trim();
    const errors = report.findings.filter(({ rule }) => rules[rule].severity === 'error');
    assert.equal(Number(ask('count(//testcase)')), ruleIds.length);
    assert.equal(Number(ask('count(//failure)')), errors.length);
    assert.equal(ask('string(//testsuite/@failures)'), ask('count(//testcase[failure])'));
    assert.equal(ask('string(//testsuite/@skipped)'), ask('count(//testcase[skipped])'));
    writeFileSync(path, text.replace('<testcase ', '<testcase wrong="" '));
    assert.notEqual(lint().status, 0);
  });
}

test('SARIF names every rule with its help, and a result its rule by number', () => {
  const { tool, results } = sarifLog(reports.plain).runs[0]!;
  for (const { ruleId, ruleIndex, level } of results!) {
    const descriptor = tool.driver.rules![ruleIndex!]!;
    assert.equal(descriptor.id, ruleId);
    assert.equal(descriptor.defaultConfiguration!.level, level);
    const { text } = descriptor.help!;
    assert.ok(text.length > 100, text);
  }
});

test('SARIF has the source first where there is one, and the place in the image in any case', () => {
  for (const { locations, relatedLocations = [] } of sarifLog(reports.plain).runs[0]!.results!) {
    const uris = [...locations!, ...relatedLocations].map((l) => l.physicalLocation!.artifactLocation!.uri);
    assert.ok(uris.length <= 2 && uris.includes('main%2B0x10'), uris.join());
    const { absoluteAddress = 0 } = locations![0]!.physicalLocation!.address ?? {};
    assert.ok(absoluteAddress >= 0 && Number.isSafeInteger(absoluteAddress), `${absoluteAddress}`);
  }
});

test('SARIF keeps suppressed findings, with the reason', () => {
  const { results } = sarifLog(reports.hostile).runs[0]!;
  const accepted = results!.filter((result) => result.suppressions);
  assert.equal(accepted.length, ruleIds.length);
  assert.equal(accepted[0]!.suppressions![0]!.justification, hostile);
});

test('GitHub annotations stay one line each, whatever names hold', () => {
  const lines = textOf(githubText(reports.hostile, undefined)).split('\n');
  assert.equal(lines.length - 1, ruleIds.length);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: that there are none is the claim
  const form = /^::(error|warning) (file=[^,:]*,line=\d+,)?title=TP\d{3} [a-z-]+::[^\x00-\x1f]*$/;
  for (const line of lines.slice(0, -1)) assert.match(line, form);
});

test('GitHub annotations name files of the workspace from there', () => {
  const [finding] = reports.plain.findings;
  const report = (file: string) => ({
    ...reports.plain,
    findings: [{ ...finding!, source: { file, line: 7 } }],
  });
  const fileOf = (file: string) =>
    /file=([^,]*),line=7,/.exec(textOf(githubText(report(file), '/work/repo')))![1];
  assert.equal(fileOf('/work/repo/src/a.c'), 'src/a.c');
  assert.equal(fileOf('/work/repository/a.c'), '/work/repository/a.c');
  assert.equal(fileOf('src/a.c'), 'src/a.c');
});

test('what is no failure is told in JUnit all the same, and what was not looked at is skipped', () => {
  const text = textOf(junitXml(reports.plain, ['error']));
  assert.match(text, /name="TP024 unused-key">\n +<system-out>/);
  assert.match(
    textOf(junitXml(reports.plain, ['error', 'warning'])),
    /name="TP024 unused-key">\n +<failure /,
  );
  assert.match(textOf(junitXml(reports.good, ['error'])), /name="TP013 changed-elsewhere">\n +<skipped\/>/);
});
