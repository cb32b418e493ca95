// Findings as SARIF 2.1.0 (OASIS): places in source where DWARF has them, and places in the image.
import type { Location, Log, PhysicalLocation, ReportingDescriptor, Result } from 'sarif';
import { hex } from '../bytes/integer.ts';
import { PT_LOAD } from '../elf/constants.ts';
import { printable } from '../errors.ts';
import type { Image } from '../image/image.ts';
import { type Located, told } from '../verify/finding.ts';
import type { Report } from '../verify/report.ts';
import { type RuleId, ruleIds, rules } from '../verify/rules.ts';
import { version } from '../version.ts';
import { documentText, ListLater } from './pieces.ts';

const schema = 'https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json';

/** `entry-outside-code` as EntryOutsideCode: names of rules have no other form (section 3.49.7). */
function pascalCase(name: string): string {
  return name.replace(/(?:^|-)(.)/g, (_, first: string) => first.toUpperCase());
}

function descriptor(id: RuleId): ReportingDescriptor {
  const { name, severity, summary, help } = rules[id];
  return {
    id,
    name: pascalCase(name),
    shortDescription: { text: `${summary}.` },
    fullDescription: { text: help },
    help: { text: help, markdown: help },
    defaultConfiguration: { level: severity },
  };
}

/** A path as a URI: relative ones stay so. */
function uriOf(path: string): string {
  const encoded = Buffer.from(path).toString().split('/').map(encodeURIComponent).join('/');
  return path.startsWith('/') ? `file://${encoded}` : encoded;
}

/** Virtual address of the image's first byte. */
function baseOf({ file }: Image): number {
  return file.segments.reduce(
    (base, { type, vaddr }) => (type === PT_LOAD ? Math.min(base, vaddr) : base),
    Number.POSITIVE_INFINITY,
  );
}

/**
 * The place in the image. Kernel addresses do not fit SARIF's numbers, which readers take for 64 bits with a sign at
 * most: they are counted from the image's start, and stand in full in the name.
 */
function binaryLocation(report: Report, { address, place, found }: Located, base: number): Location {
  const offset = address === undefined ? undefined : report.image.fileOffset(address, 1);
  const physicalLocation: PhysicalLocation = { artifactLocation: { uri: uriOf(report.file), index: 0 } };
  if (offset !== undefined) {
    physicalLocation.region = { byteOffset: offset, byteLength: Math.max(found?.length ?? 1, 1) };
  }
  if (address === undefined) return { physicalLocation };
  physicalLocation.address = {
    relativeAddress: address - base,
    name: place,
    fullyQualifiedName: hex(address),
    kind: 'instruction',
    ...(address >= 0 ? { absoluteAddress: address } : {}),
  };
  return { physicalLocation, logicalLocations: [{ fullyQualifiedName: place }] };
}

function resultOf(report: Report, located: Located, base: number, reason: string | undefined): Result {
  const finding = told(located);
  const { rule, source, place, message } = finding;
  const binary = binaryLocation(report, finding, base);
  const result: Result = {
    ruleId: rule,
    ruleIndex: ruleIds.indexOf(rule),
    level: rules[rule].severity,
    message: { text: printable(`${place}: ${message}`).replace(/[\\[\]]/g, '\\$&') }, // no links (section 3.11.6)
    analysisTarget: { uri: uriOf(report.file), index: 0 },
    locations: [binary],
  };
  if (source) {
    result.locations = [
      {
        physicalLocation: {
          artifactLocation: { uri: uriOf(source.file) },
          region: { startLine: source.line },
        },
        logicalLocations: [{ fullyQualifiedName: place }],
      },
    ];
    result.relatedLocations = [binary];
  }
  if (reason !== undefined) {
    result.suppressions = [{ kind: 'external', status: 'accepted', justification: reason }];
  }
  return result;
}

export function sarifLog(report: Report): Log {
  return logWith(report, [...resultsOf(report)]);
}

/** The text of `sarifLog`, in pieces. */
export function sarifText(report: Report): Generator<string> {
  return documentText(
    logWith(
      report,
      ListLater.of(resultsOf(report), (result) => result),
    ),
    0,
  );
}

function* resultsOf(report: Report): Generator<Result> {
  const base = baseOf(report.image);
  for (const finding of report.findings) yield resultOf(report, finding, base, undefined);
  for (const { finding, reason } of report.suppressed) yield resultOf(report, finding, base, reason);
}

function logWith<Results>(report: Report, results: Results) {
  return {
    $schema: schema,
    version: '2.1.0' as const,
    runs: [
      {
        tool: {
          driver: {
            name: 'textpoke',
            semanticVersion: version,
            rules: ruleIds.map(descriptor),
          },
        },
        artifacts: [{ location: { uri: uriOf(report.file) }, roles: ['analysisTarget' as const] }],
        results,
      },
    ],
  };
}
