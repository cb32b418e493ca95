// What the arguments and options of the command line take, and options that several commands have.
import { Argument, type Command, InvalidArgumentError, Option } from 'commander';
import type { BootStep } from '../boot/steps.ts';
import { parseAddress } from '../bytes/integer.ts';
import type { PhysicalPart } from '../library/verify-options.ts';
import { ruleIds } from '../verify/rules.ts';

/** Takes the exit status of a command. */
export type Finish = (exitCode: number) => void;

export function positive(text: string): number {
  if (!/^[1-9]\d{0,5}$/.test(text)) throw new InvalidArgumentError('An integer of 1 or more is required.');
  return Number(text);
}

/** A process: at most PID_MAX_LIMIT of 64-bit kernels (include/linux/threads.h). */
export function processId(text: string): number {
  if (!/^[1-9]\d{0,6}$/.test(text)) throw new InvalidArgumentError('The number of a process is required.');
  return Number(text);
}

/** An address or a distance: hexadecimal with 0x, or decimal. */
export function address(text: string): number {
  if (!/^(0x[0-9a-f]{1,16}|\d{1,15})$/i.test(text)) throw new InvalidArgumentError('An address is required.');
  return parseAddress(text) ?? Number(text);
}

/** A number of bytes: 300M, 2G. */
function byteCount(text: string): number {
  const [, digits, unit] = /^(\d{1,9})([KMG]?)$/i.exec(text) ?? [];
  if (digits === undefined) throw new InvalidArgumentError('A size such as 300M or 2G is required.');
  return Number(digits) * 1024 ** ['', 'K', 'M', 'G'].indexOf((unit as string).toUpperCase());
}

/** The forms of most results. */
export const textOrJson = ['text', 'json'] as const;

/** What a command prints its result as: one of these forms, the first of which is text. */
export function outputForm(command: Command, forms: readonly string[], about = ''): Command {
  const listed = forms
    .slice(1)
    .join(', ')
    .replace(/, (?=\w+$)/, ' or ');
  return command
    .addOption(new Option('--format <format>', `text (default), ${listed}${about}`).choices(forms))
    .addOption(new Option('--json', 'the same as --format json').implies({ format: 'json' }).hideHelp());
}

/** Arguments of a command that has no form but text and JSON. */
export function withJson<Arguments extends object>({
  format,
  ...args
}: Arguments & { readonly format?: string }): Arguments {
  return { ...args, json: format === 'json' } as unknown as Arguments;
}

/** Where debug files lie, for source lines of stripped files. The help of all commands has it. */
export function debugDirectory(): Option {
  const description = 'where debug files are, instead of /usr/lib/debug (repeatable)';
  return new Option('--debug-dir <directory>', description)
    .argParser((directory, all: string[] = []) => [...all, directory])
    .hideHelp();
}

/** How large what is compressed may become. The help of all commands has it. */
export function expandLimit(): Option {
  return new Option('--expand-limit <size>', 'bytes that compressed input may expand to (300M, 2G)')
    .argParser(byteCount)
    .hideHelp();
}

/** Where a raw dump lies in virtual memory. */
export function rawBase(): Option {
  return new Option('--base <address>', 'virtual address of the first byte of a raw dump').argParser(address);
}

/** The other kind of raw dump, in parts; `withParts` gives the command what it means. */
export function rawPhysical(): Option {
  return new Option('--physical [address@byte]', 'raw dump of physical memory (repeatable: parts)')
    .argParser(physicalPart)
    .conflicts('base');
}

/** Parts of a raw image of physical memory: ADDRESS, or ADDRESS@BYTE for what lies further on in the file. */
function physicalPart(text: string, before: unknown): PhysicalPart[] {
  const [, at, byte] = /^([^@]+)(?:@(.+))?$/.exec(text) ?? [];
  if (at === undefined) throw new InvalidArgumentError('An address is required.');
  return [...partsOfRaw(before), { address: address(at), offset: byte === undefined ? 0 : address(byte) }];
}

/** Without an address (true) there are no parts. */
function partsOfRaw(value: unknown): readonly PhysicalPart[] {
  return Array.isArray(value) ? value : [];
}

/** Arguments of a command that has `rawPhysical`, with its parts where it is given. */
export function withParts<Arguments extends object>({
  physical,
  ...args
}: Arguments & { readonly physical?: unknown }): Arguments {
  return { ...args, ...(physical !== undefined && { physical: partsOfRaw(physical) }) } as Arguments;
}

export function updateStep(text: string): BootStep {
  const at = text.indexOf('=');
  if (at <= 0 || at === text.length - 1)
    throw new InvalidArgumentError('CALL=FUNCTION, CALL=NULL or CALL=RET0 is required.');
  return { do: 'update', call: text.slice(0, at), value: text.slice(at + 1) };
}

/** Ids for completion; the command itself suggests what a misspelt one means. */
export function ruleArgument(): Argument {
  return new Argument('[what]', 'id or name of a rule, site or key')
    .choices(ruleIds)
    .argParser((text: string) => text);
}
