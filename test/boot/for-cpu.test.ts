// The phases of a kernel that follow from its processor, over a kernel of a few bytes.
import assert from 'node:assert/strict';
import test from 'node:test';
import { phasesForCpu } from '../../src/boot/for-cpu.ts';
import { replayBoot } from '../../src/boot/passes.ts';
import { requiredFeatures } from '../../src/text/x86-64/features.ts';
import type { GivenX86 } from '../../src/text/x86-64/given.ts';
import { branchHex, bytesOf, hexOf, madeKernel, textStart } from '../text/x86-64/made.ts';

const banner = Buffer.from('Linux version 6.12.0 (made)\n\0').toString('hex');
const [site, sealed, thunk] = [0x100, 0x140, 0x2000];

function kernel(sites: readonly number[] = [site]) {
  return madeKernel({
    code: { [site]: branchHex('e9', site, thunk), [sealed]: 'f30f1efa90', [thunk]: 'c3' },
    functions: { sealed, __x86_return_thunk: thunk },
    data: { linux_banner: banner },
    tables: { '.return_sites': sites, '.ibt_endbr_seal': [sealed] },
  });
}

/** A processor with what every kernel requires. */
function given(without?: number): GivenX86 {
  const features = new Uint32Array(24);
  for (const one of requiredFeatures)
    if (one !== without) features[one >>> 5] = (features[one >>> 5] as number) | (1 << (one & 31));
  return { features, variables: new Map(), thunkPages: [] };
}

const boot = (image = kernel(), state = given()) =>
  replayBoot(image, {
    phasesOf: (runtime) => phasesForCpu(runtime, { given: state, slide: 0, relocations: undefined }),
  });

test('each write of a phase is recorded with what it replaces, and the image holds it', () => {
  const { poker, log, image } = boot();
  const told = poker.records.map(({ phase, address, before, after, what }) => [
    phase,
    address - textStart,
    hexOf(before),
    hexOf(after),
    what,
  ]);
  assert.deepEqual(told, [
    ['returns', site, branchHex('e9', site, thunk), 'c3cccccccc', 'text'],
    ['endbr seal', sealed, 'f30f1efa', '660f1f00', 'text'],
  ]);
  assert.equal(hexOf(image.read(textStart + site, 5)), 'c3cccccccc');
  assert.deepEqual(
    [...log.phases],
    [
      ['jump_label_init', undefined],
      ['static_call_init', undefined],
      ['returns', 1],
      ['endbr seal', 1],
      ['SMP alternatives', undefined],
    ],
  );
});

test('what a pass cannot know is a note', () => {
  const { log } = boot();
  assert.match(log.notes.join(), /the number of the feature RETHUNK is not known/);
});

test('a table that names what is no return is refused, and so is a processor that no kernel starts on', () => {
  assert.throws(() => boot(kernel([site, sealed])), { code: 'table-malformed', message: /returns: sealed/ });
  assert.throws(() => boot(kernel(), given(6)), { code: 'table-malformed', message: /0\*32\+6/ });
});

test('a kernel that is moved without the list of its relocations keeps what holds addresses, with a note', () => {
  const runtime = replayBoot(kernel(), {
    phasesOf: (of) => phasesForCpu(of, { given: given(), slide: 0x20_0000, relocations: undefined }),
  });
  assert.match(runtime.log.notes.join(), /text that holds addresses is not replayed/);
  assert.equal(hexOf(bytesOf('c3')), hexOf(runtime.image.read(textStart + site, 1)));
});
