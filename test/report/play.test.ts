// What a report shows of boot is what boot does: random choices, replayed from a report's data, write what `boot` writes for
// the command that the page shows.
import assert from 'node:assert/strict';
import test from 'node:test';
import { parseScenario } from '../../src/boot/scenario.ts';
import { boot } from '../../src/library/boot.ts';
import { reportData } from '../../src/library/report.ts';
import type { ImageData } from '../../src/report/data.ts';
import { mostPlaces } from '../../src/report/image.ts';
import { hex, ImageModel } from '../../src/report/page/model.ts';
import { commandOf, needsScenario, Play, type Step, type Write } from '../../src/report/page/play.ts';
import { readScenario, scenarioText } from '../../src/report/page/scenario.ts';
import { mostUsers } from '../../src/report/values.ts';
import { wrongBranches } from '../large-image.ts';
import { annotated, imageOf, linkedBytes, programUnits } from '../samples.ts';
import { seeded } from '../seeded.ts';

/** What `boot --json` tells of writes, as a page has it. */
function told(writes: readonly Write[]) {
  return writes.map(({ phase, what, address, before, after, reason, step }) => ({
    ...{ phase, what, address: hex(address), before, after, reason },
    ...(step !== undefined && { step }),
  }));
}

/** The options of a command as the library takes them. */
function optionsOf(command: string) {
  const words = command.split(' ').slice(3);
  const steps: ({ do: 'enable' | 'disable'; key: string } | { do: 'update'; call: string; value: string })[] =
    [];
  let cpus: number | undefined;
  for (let i = 0; i < words.length; i += 2) {
    const value = words[i + 1] as string;
    if (words[i] === '--cpus') cpus = Number(value);
    else if (words[i] === '--update') {
      const [call, to] = value.split('=') as [string, string];
      steps.push({ do: 'update', call, value: to });
    } else steps.push({ do: words[i] === '--enable' ? 'enable' : 'disable', key: value });
  }
  return { cpus, steps };
}

/** Chooses values at random; of a value that is refused nothing is chosen. `counts`: keys get users, too. */
function randomSteps(image: ImageData, random: () => number, count: number, counts: boolean): Step[] {
  const controls = image.boot?.controls ?? [];
  const steps: Step[] = [];
  const now = controls.map(({ initial }) => initial);
  while (steps.length < count) {
    const control = Math.floor(random() * controls.length);
    const values = controls[control]?.values ?? [];
    const present = now[control] as number;
    if (counts && controls[control]?.counts) {
      const by = present < mostUsers && random() < 0.6 ? 'inc' : 'dec';
      if (by === 'dec' && present === 0) continue;
      now[control] = by === 'inc' ? present + 1 : present - 1;
      steps.push({ control, value: now[control], by });
      continue;
    }
    const value = Math.floor(random() * values.length);
    if (values[value] === undefined || values[value].refused !== undefined || now[control] === value)
      continue;
    now[control] = value;
    steps.push({ control, value });
  }
  return steps;
}

const sets = [
  'gcc-O2',
  'gcc-O2-fPIC',
  'clang-O2',
  'aarch64-gcc-O2',
  'aarch64-clang-O2',
  'arm-gcc-O2',
  'arm-clang-O2',
] as const;

for (const set of sets) {
  test(`random choices write what boot writes: ${set}`, async () => {
    const input = { name: 'image', bytes: linkedBytes(set, programUnits) };
    const { data } = await reportData([input]);
    const [image] = data.images as [ImageData];
    const model = new ImageModel(image);
    assert.equal(image.boot?.refused, undefined);
    const random = seeded(7);
    for (let round = 0; round < 6; round++) {
      const cpus = [undefined, 1, 2][round % 3];
      const steps = randomSteps(image, random, 12, round > 2);
      const play = new Play(image, model.addresses, cpus);
      const writes = [...play.start, ...steps.flatMap((step) => play.apply(step))];
      const command = commandOf(image, cpus, steps);
      const scenario = scenarioText(image, steps);
      assert.deepEqual(readScenario(image, scenario), steps, 'the scenario says the same');
      const options = needsScenario(steps) ? { cpus, steps: parseScenario(scenario) } : optionsOf(command);
      const { document } = await boot(input, options);
      // What start-up stores in tables and keys is counted in the page, and not shown.
      const expected = document.writes
        .filter(({ what, phase }) => what === 'text' || phase === 'run time')
        .map(({ symbol: _, key: __, source: ___, ...write }) => write);
      assert.deepEqual(told(writes), expected, command);
    }
  });
}

test('every place of a report holds in the file what the image holds there', async () => {
  const bytes = linkedBytes('gcc-O2', programUnits);
  const { data } = await reportData([{ name: 'image', bytes }]);
  const [image] = data.images as [ImageData];
  const model = new ImageModel(image);
  assert.ok(model.count > 20, 'the sample has places');
  const read = imageOf(bytes);
  for (let place = 0; place < model.count; place++) {
    const digits = model.bytes(model.places.built[place] as number);
    const there = read.readUpTo(model.addresses[place] as number, digits.length / 2);
    assert.equal(digits, Buffer.from(there).toString('hex'), model.placeName(place));
  }
});

test('a report of an image that boot refuses says why, and has its places all the same', async () => {
  const { data } = await reportData([{ name: 'image', bytes: wrongBranches(3) }]);
  const [image] = data.images as [ImageData];
  assert.match(image.boot?.refused ?? '', /sites do not hold .*the first is f: found b801020304/);
  assert.deepEqual(image.boot?.controls, []);
  assert.equal(image.placeCount, 3);
  assert.equal(image.places?.address.length, 3);
});

test('more places than a page can show leave the summary, which says so', async () => {
  const bytes = wrongBranches(mostPlaces + 1);
  const { data } = await reportData([{ name: 'image', bytes }]);
  const [image] = data.images as [ImageData];
  assert.equal(image.places, undefined);
  assert.equal(image.summary.text.sites, mostPlaces + 1);
  assert.match(image.notes.join(), /at most 100000/);
  assert.ok(JSON.stringify(data).length < 100_000, 'nothing is kept of the places');
});

test('an object is refused, with what to do instead', async () => {
  const bytes = annotated('gcc-O2', 'branch');
  await assert.rejects(reportData([{ name: 'branch.o', bytes }]), {
    code: 'not-an-image',
    message: /link the objects/,
  });
});

test('the same image makes the same data', async () => {
  const input = { name: 'image', bytes: linkedBytes('gcc-O2', programUnits) };
  const texts = [await reportData([input]), await reportData([input])].map(({ data }) =>
    JSON.stringify(data),
  );
  assert.equal(texts[0], texts[1]);
});

test('a key with two users goes off with the second one that leaves', async () => {
  const { data } = await reportData([{ name: 'image', bytes: linkedBytes('gcc-O2', programUnits) }]);
  const [image] = data.images as [ImageData];
  const { addresses } = new ImageModel(image);
  const steps = readScenario(
    image,
    JSON.stringify({
      schema: 'textpoke.scenario/1',
      steps: ['inc', 'inc', 'disable', 'dec', 'dec'].map((operation) => ({ [operation]: 'off_key' })),
    }),
  );
  const play = new Play(image, addresses, undefined);
  const texts = steps.map((step) => play.apply(step).filter(({ what }) => what === 'text').length);
  assert.ok((texts[0] as number) > 0, 'the first one switches it on');
  assert.deepEqual(texts, [texts[0], 0, 0, 0, texts[0]]);
  assert.equal(commandOf(image, 1, steps), 'textpoke boot image --cpus 1 --scenario steps.json');
});

const scenario = (...steps: unknown[]) => ({ schema: 'textpoke.scenario/1', steps });

test('a scenario that a page cannot play is refused, with the number of the step', async () => {
  const { data } = await reportData([{ name: 'image', bytes: linkedBytes('gcc-O2', programUnits) }]);
  const [image] = data.images as [ImageData];
  const rows: (readonly [document: unknown, message: RegExp])[] = [
    [{}, /^a scenario is required/],
    [null, /^a scenario is required/],
    [scenario({ inc: 'off_key' }, { load: 'a.ko' }), /^step 2: load is for the command line/],
    [scenario({ enable: 'nothing' }), /^step 1: this page has no key nothing/],
    [scenario({ update: { call: 'nothing', to: 'f' } }), /^step 1: this page has no call nothing/],
    [
      scenario({ update: { call: 'math', to: 'nothing' } }),
      /^step 1: this page does not offer nothing for math/,
    ],
    [scenario({ dec: 'off_key' }), /^step 1: this page counts from 0 to 4/],
    [scenario({ enable: 'off_key', expect: {} }), /^step 1: one operation and nothing else/],
    [scenario(7), /^step 1: one operation and nothing else/],
  ];
  for (const [document, message] of rows)
    assert.throws(() => readScenario(image, JSON.stringify(document)), { message });
});
