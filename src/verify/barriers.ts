// Barriers between CPUs: each listed place holds one or the NOP that stands for it, as the number of CPUs demands;
// the kernel's own sites hold their replacement on one CPU.
import { sameBytes } from '../bytes/integer.ts';
import type { Program } from '../demand/program.ts';
import { barrierForm } from '../kinds/barrier/demand.ts';
import { barrier } from '../kinds/barrier/kind.ts';
import { oneCpu } from '../kinds/one-cpu/kind.ts';
import type { Finding } from './finding.ts';
import type { VerifyOptions } from './options.ts';

/** TP017. */
export function* checkBarriers(program: Program, { cpus, original }: VerifyOptions): Generator<Finding> {
  const { image } = program;
  const barriers = program.sites.of(barrier);
  const make = (address: number, message: string, expected?: Uint8Array): Finding => {
    const found = image.readUpTo(address, 4).slice();
    return { rule: 'TP017', address, place: image.describe(address), message, found, expected };
  };
  const forCpus = cpus === 1 ? 'one CPU' : `${cpus} CPUs`;
  const states = new Set<boolean>();
  for (const { address } of barriers) {
    if (!image.codeAt(address)) continue;
    const current = image.readUpTo(address, image.arch.maxSite);
    const form = barrierForm(image, address);
    if (!form) {
      yield make(
        address,
        'the entry lists a barrier, but the site holds neither a barrier nor the NOP of a barrier',
      );
      continue;
    }
    const isThere = sameBytes(current.subarray(0, form.barrier.length), form.barrier);
    states.add(isThere);
    if (cpus !== undefined && isThere !== cpus > 1) {
      const state = isThere ? `${form.name} is still in place` : `${form.name} is missing`;
      yield make(address, `${state}, for ${forCpus}`, isThere ? form.nop : form.barrier);
    }
  }
  const first = barriers[0];
  if (cpus === undefined && first && states.size > 1) {
    yield make(first.address, 'some barriers are in place and others are dropped; all must be in one state');
  }
  if (cpus === undefined) return;
  for (const { address, replacement } of program.sites.of(oneCpu)) {
    // What stood at the kernel's sites for several CPUs, only the image before patching knows.
    const demanded = cpus === 1 ? replacement : original?.read(address, replacement.length);
    const isThere = image.codeAt(address) !== undefined || image.isData(address, replacement.length);
    if (!demanded || !isThere || sameBytes(image.readUpTo(address, demanded.length), demanded)) continue;
    yield make(address, `the site does not hold the instruction for ${forCpus}`, demanded);
  }
}
