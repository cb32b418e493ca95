// Numbers as options give them.
import { TextpokeError } from '../errors.ts';

/** A number of CPUs, if one is given. Error `usage`. */
export function requireCpus(cpus: number | undefined): number | undefined {
  if (cpus === undefined || (Number.isSafeInteger(cpus) && cpus > 0)) return cpus;
  throw new TextpokeError('usage', `cpus is ${cpus}; a whole number from 1 is required`);
}

/** An address or a distance as it is counted inside: the signed reading of its 64 bits. Error `usage`. */
export function addressOf(name: string, value: number | bigint | undefined): number | undefined {
  if (value === undefined) return undefined;
  if (typeof value === 'number' && !Number.isInteger(value))
    throw new TextpokeError('usage', `${name} is ${value}; a whole number is required`);
  return Number(BigInt.asIntN(64, BigInt(value)));
}
