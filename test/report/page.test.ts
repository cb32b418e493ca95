// The page of a report in a browser: each view says what the tool says, and nothing of a name becomes markup.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { after, afterEach } from 'node:test';
import { parseScenario } from '../../src/boot/scenario.ts';
import { boot } from '../../src/library/boot.ts';
import { report } from '../../src/library/report.ts';
import { verify } from '../../src/library/verify.ts';
import { builtProgram } from '../built.ts';
import { branchesOf, wrongBranches } from '../large-image.ts';
import { linkedBytes, programUnits } from '../samples.ts';
import { isUnit, scratch, toolTest } from '../tools.ts';
import { chromiumTool, closeBrowser, closePages, goTo, openFile, openReport, rowsOf } from './browser.ts';

const tools = [chromiumTool];
const axe = createRequire(import.meta.url).resolve('axe-core/axe.min.js');
if (!isUnit) builtProgram();
afterEach(closePages);
after(closeBrowser);

const program = () => ({ name: 'program', bytes: linkedBytes('gcc-O2', programUnits) });
const viewNames = ['Overview', 'Map of text', 'Keys and calls', 'Boot'] as const;

toolTest(
  'a report opens from a file, asks nothing of a network, and its policy refuses nothing',
  tools,
  async (t) => {
    const { page, complaints, requests } = await openReport(scratch(t), [program()]);
    for (const view of viewNames) {
      await goTo(page, view);
      assert.equal(await page.getByRole('link', { name: view }).getAttribute('aria-current'), 'page');
    }
    assert.deepEqual([complaints, requests], [[], []]);
  },
);

toolTest('the overview says how many places, keys and functions there are', tools, async (t) => {
  const input = program();
  const { page } = await openReport(scratch(t), [input]);
  const text = await page.getByRole('main').innerText();
  const { summarize } = await import('../../src/library/dump.ts');
  const [summary] = (await summarize(input)).document.files;
  assert.ok(summary, 'dump has a summary');
  assert.match(text, new RegExp(`${summary.text.sites} places in `));
  assert.match(text, new RegExp(`\\b${summary.counts.functions}\\nfunctions with places`));
});

toolTest(
  'a search finds a key, and what is opened shows the byte strings of boot --states',
  tools,
  async (t) => {
    const input = program();
    const { page } = await openReport(scratch(t), [input]);
    await goTo(page, 'Keys and calls');
    const all = (await rowsOf(page, 'Keys and calls')).length;
    await page.getByRole('searchbox', { name: 'Search keys and calls' }).fill('OFF_key');
    const found = await rowsOf(page, 'Keys and calls');
    assert.ok(found.length > 0 && found.length < all, `${found.length} of ${all}`);
    assert.ok(
      found.every(([name = '']) => name.includes('off_key')),
      'all of them match',
    );
    await page.getByRole('button', { name: 'off_key', exact: true }).click();
    const shown = await rowsOf(page, 'Places of off_key');
    const { states } = await boot(input, { states: true });
    const places = states?.places.filter(({ key }) => key === 'off_key') ?? [];
    assert.equal(shown.length, places.length);
    for (const [i, { symbol, states: expected }] of places.entries()) {
      const [off = '', on = ''] = shown[i] as string[];
      assert.ok(off.startsWith(symbol), `${off} is ${symbol}`);
      for (const [cell, meaning] of [
        [off, 'off_key disabled'],
        [on, 'off_key enabled'],
      ] as const) {
        const bytes = expected.find((state) => state.meaning === meaning)?.bytes.replace(/..(?=.)/g, '$& ');
        assert.ok(bytes && cell.includes(bytes), `${cell} has ${bytes}`);
      }
    }
  },
);

toolTest('keys and calls are sorted and chosen by kind', tools, async (t) => {
  const { page } = await openReport(scratch(t), [program()]);
  await goTo(page, 'Keys and calls');
  const placesColumn = async () => (await rowsOf(page, 'Keys and calls')).map((row) => Number(row[3]));
  const down = await placesColumn();
  assert.deepEqual(
    down,
    down.toSorted((a, b) => b - a),
  );
  await page.getByRole('button', { name: 'Places' }).click();
  assert.deepEqual(
    await placesColumn(),
    down.toSorted((a, b) => a - b),
  );
  await page.getByRole('button', { name: 'Calls', exact: true }).click();
  const kinds = new Set((await rowsOf(page, 'Keys and calls')).map((row) => row[1]));
  assert.deepEqual([...kinds], ['call']);
});

/** The rows of the record as `boot --json` has them. */
async function recordOf(page: Parameters<typeof rowsOf>[0]) {
  return (await rowsOf(page, 'Record of writes')).map(([, address, , before, after, step]) => ({
    address,
    before: before?.replaceAll(' ', ''),
    after: after?.replaceAll(' ', ''),
    ...(step !== '' && { step: Number(step?.[0]) }),
  }));
}

toolTest(
  'switching a key, a call and the CPUs shows the writes of the command that the page shows',
  tools,
  async (t) => {
    const directory = scratch(t);
    const path = join(directory, 'program');
    writeFileSync(path, linkedBytes('gcc-O2', programUnits));
    const { page } = await openReport(directory, [path]);
    await goTo(page, 'Boot');
    await page.getByRole('button', { name: 'One CPU' }).click();
    const locks = (await recordOf(page)).filter(({ before }) => before === 'f0');
    assert.ok(locks.length > 0, 'locks are dropped');
    await page.getByRole('searchbox').fill('off_key');
    await page.getByRole('switch', { name: 'off_key', exact: true }).click();
    assert.equal(
      await page.getByRole('switch', { name: 'off_key', exact: true }).getAttribute('aria-checked'),
      'true',
    );
    const switched = await recordOf(page);
    await page.getByRole('searchbox').fill('');
    await page.getByRole('combobox', { name: 'math', exact: true }).selectOption('math_now');
    const redirected = await recordOf(page);
    const command = (await page.locator('.command code').innerText()).replaceAll(/\s+/g, ' ').trim();
    assert.match(command, /^textpoke boot \S+ --cpus 1 --enable off_key --update math=math_now$/);
    const words = [...command.split(' ').slice(1), '--json'];
    const json = execFileSync(process.execPath, [builtProgram(), ...words], { encoding: 'utf8' });
    const writes = JSON.parse(json).writes as {
      phase: string;
      what: string;
      address: string;
      before: string;
      after: string;
      step?: number;
    }[];
    const live = writes
      .filter(({ phase }) => phase === 'run time')
      .map(({ address, before, after, step }) => ({
        address,
        before,
        after,
        ...(step !== undefined && { step }),
      }));
    assert.deepEqual([...switched, ...redirected], live);
    const dropped = writes.filter(({ phase, what }) => phase === 'SMP alternatives' && what === 'text');
    assert.deepEqual(
      locks,
      dropped.map(({ address, before, after }) => ({ address, before, after })),
    );
  },
);

toolTest('users of a key are counted, and the scenario of the page does the same', tools, async (t) => {
  const directory = scratch(t);
  const path = join(directory, 'program');
  writeFileSync(path, linkedBytes('gcc-O2', programUnits));
  const { page } = await openReport(directory, [path]);
  await goTo(page, 'Boot');
  await page.getByRole('searchbox').fill('off_key');
  const more = page.getByRole('button', { name: 'off_key: one user more (inc)', exact: true });
  const less = page.getByRole('button', { name: 'off_key: one user less (dec)', exact: true });
  const records = [];
  for (const button of [more, more, less, less]) {
    await button.click();
    records.push(...(await recordOf(page)));
  }
  const key = page.getByRole('switch', { name: 'off_key', exact: true });
  assert.equal(await key.getAttribute('aria-checked'), 'false');
  assert.match(await page.locator('.command code').innerText(), /--scenario\s+steps\.json$/);
  await page.locator('.scenario summary').click();
  const scenario = await page.getByRole('textbox', { name: 'Scenario' }).inputValue();
  const { document } = await boot(path, { steps: parseScenario(scenario) });
  const live = document.writes.filter(({ phase }) => phase === 'run time');
  assert.deepEqual(
    records,
    live.map(({ address, before, after, step }) => ({
      ...{ address, before, after },
      ...(step !== undefined && { step }),
    })),
  );
  await page
    .getByRole('textbox', { name: 'Scenario' })
    .fill('{"schema": "textpoke.scenario/1", "steps": [{"inc": "off_key"}]}');
  await page.getByRole('button', { name: 'Play this scenario' }).click();
  assert.equal(await key.getAttribute('aria-checked'), 'true');
});

toolTest('the writes of a change can be gone through one by one', tools, async (t) => {
  const { page } = await openReport(scratch(t), [program()]);
  await goTo(page, 'Boot');
  await page.getByRole('searchbox').fill('off_key');
  await page.getByRole('switch', { name: 'off_key', exact: true }).click();
  const moment = page.locator('.moment');
  assert.match(await moment.innerText(), /Write 1 of .*off_key\.enabled = -1/s);
  await page.getByRole('button', { name: 'Next write' }).click();
  assert.match(await moment.innerText(), /Step 1 of 3: a breakpoint/);
  const [before, after] = await moment.locator('.bytes').allInnerTexts();
  assert.equal(after, before?.replace(/^../, 'cc'));
  await page.getByRole('slider', { name: 'Write' }).press('ArrowRight');
  assert.match(await moment.innerText(), /Step 2 of 3/);
  assert.match((await moment.locator('.bytes').allInnerTexts())[0] ?? '', /^cc/);
  await page.getByRole('button', { name: 'Undo the last step' }).click();
  assert.equal(
    await page.getByRole('switch', { name: 'off_key', exact: true }).getAttribute('aria-checked'),
    'false',
  );
});

toolTest('the map is walked and zoomed by keys, and names the place', tools, async (t) => {
  const input = program();
  const { page } = await openReport(scratch(t), [input]);
  await goTo(page, 'Map of text');
  const map = page.getByRole('application');
  await map.focus();
  await page.keyboard.press('ArrowRight');
  const { states } = await boot(input, { states: true });
  const first = (await rowsOf(page, 'Places of .text in view'))[0] as string[];
  const readout = await page.locator('.readout').innerText();
  assert.ok(readout.includes(first[1] as string), `${readout} names ${first[1]}`);
  assert.ok(
    states?.places.some(({ address }) => address === first[0]),
    'it is a place of the tables',
  );
  const all = (await rowsOf(page, 'Places of .text in view')).length;
  for (let i = 0; i < 5; i++) await page.keyboard.press('+');
  assert.ok((await rowsOf(page, 'Places of .text in view')).length < all, 'fewer places are in view');
  await page.keyboard.press('Home');
  const box = await map.boundingBox();
  assert.ok(box, 'the map is seen');
  await page.mouse.move(box.x + 2, box.y + 20);
  await page.keyboard.press('Enter');
});

toolTest('two builds: what was lost, gained, changed and moved', tools, async (t) => {
  const old = { name: 'old', bytes: linkedBytes('gcc-O2', programUnits) };
  const now = {
    name: 'new',
    bytes: linkedBytes(
      'gcc-O2',
      programUnits.filter((unit) => unit !== 'lock'),
    ),
  };
  const { page } = await openReport(scratch(t), [old, now]);
  await goTo(page, 'Builds');
  const { diff } = await import('../../src/library/diff.ts');
  const { document } = await diff(old, now);
  assert.ok(document.removed > 0, 'something is lost');
  assert.match(
    await page.getByRole('main').innerText(),
    new RegExp(`\\b${document.removed}\\nlost\\n+${document.added}\\ngained`),
  );
  await page.getByRole('button', { name: 'Lost', exact: true }).click();
  const rows = await rowsOf(page, 'Differences');
  assert.ok(rows.length > 0 && rows.every(([what]) => what === 'lost'), 'only those are shown');
});

toolTest('findings of verify are shown by cause, with the explanation that verify has', tools, async (t) => {
  const input = { name: 'image', bytes: wrongBranches(5) };
  const { page } = await openReport(scratch(t), [input], { verify: true });
  await goTo(page, 'Findings');
  const text = await page.getByRole('main').innerText();
  assert.match(text, /5 errors/);
  assert.match(text, /TP007/);
  const rows = await rowsOf(page, 'Findings of TP007');
  assert.equal(rows.length, 5);
  const linked = { name: 'linked', bytes: linkedBytes('gcc-O2', programUnits) };
  const { document } = await verify(linked);
  const { explanation } = document;
  assert.ok(explanation, 'the image was never booted, and verify says so');
  const other = await openReport(scratch(t), [linked], { verify: true });
  await goTo(other.page, 'Findings');
  const said = await other.page.getByRole('main').innerText();
  assert.ok(said.includes(`${explanation.what}, which explains`), said);
  assert.equal(
    (await other.page.locator('.command code').innerText()).replaceAll(/\s+/g, ' ').trim(),
    explanation.command,
  );
  assert.match(rows[0]?.join(' ') ?? '', /b8 01 02 03 04/);
});

const hostile = {
  code: `</script><img src=x onerror=alert(1)>"'&amp;\u202e\u0007\n`,
  key: `<b>bold</b>\u2066${'`'}\${alert(2)}`,
};

toolTest('names are text: markup, quotes, controls and marks that turn text round', tools, async (t) => {
  const bytes = branchesOf(3, Uint8Array.of(0x0f, 0x1f, 0x44, 0, 0), hostile);
  const { page, complaints } = await openReport(scratch(t), [{ name: `x${hostile.code}`, bytes }], {
    verify: true,
  });
  assert.match(await page.title(), /onerror=alert\(1\)/);
  for (const view of [...viewNames, 'Findings']) {
    await goTo(page, view);
    assert.equal(await page.locator('img, b').count(), 0, view);
    const text = await page.locator('body').innerText();
    assert.doesNotMatch(text, /[\p{Cf}]/u, view);
  }
  await goTo(page, 'Keys and calls');
  const [row] = await rowsOf(page, 'Keys and calls');
  assert.equal(row?.[0], hostile.key.replace('\u2066', '\\u2066'));
  await page.locator('.list .scroller button.link').first().click();
  assert.match(
    (await rowsOf(page, `Places of ${row?.[0]}`))[0]?.[0] ?? '',
    /^<\/script><img src=x onerror=alert\(1\)>/,
  );
  await goTo(page, 'Boot');
  await page.getByRole('switch').click();
  // A name that a shell could take for something else is never written into the command.
  assert.match(
    await page.locator('.command code').innerText(),
    /^textpoke boot IMAGE\s+--enable 0x[0-9a-f]+$/,
  );
  assert.deepEqual(complaints, []);
});

for (const colorScheme of ['light', 'dark'] as const) {
  for (const width of [1280, 360]) {
    toolTest(
      `axe finds nothing to fault in any view: ${colorScheme}, ${width} pixels wide`,
      tools,
      async (t) => {
        const images = [program(), { name: 'other', bytes: linkedBytes('gcc-O0', programUnits) }];
        const directory = scratch(t);
        const looks = { colorScheme, width, bypassCSP: true };
        const faults: string[] = [];
        const check = async (page: Awaited<ReturnType<typeof openReport>>['page'], view: string) => {
          await page.evaluate(readFileSync(axe, 'utf8'));
          const found = await page.evaluate('axe.run()');
          const { violations } = found as {
            violations: { id: string; nodes: { html: string; failureSummary: string }[] }[];
          };
          for (const { id, nodes } of violations)
            faults.push(`${view}: ${id}: ${nodes[0]?.html} ${nodes[0]?.failureSummary}`);
          const overflow = await page.evaluate(
            'document.documentElement.scrollWidth - document.documentElement.clientWidth',
          );
          assert.ok(Number(overflow) <= 0, `${view} is not wider than the window`);
        };
        const { page } = await openReport(directory, images, {}, looks);
        for (const view of [...viewNames, 'Builds']) {
          await goTo(page, view);
          if (view === 'Keys and calls') await page.locator('.list .scroller button.link').first().click();
          if (view === 'Boot') await page.getByRole('switch').first().click();
          await check(page, view);
        }
        const wrong = await openReport(
          directory,
          [{ name: 'image', bytes: wrongBranches(3) }],
          { verify: true },
          looks,
        );
        for (const view of ['Findings', 'Boot']) {
          await goTo(wrong.page, view);
          await check(wrong.page, view);
        }
        assert.deepEqual(faults, []);
      },
    );
  }
}

toolTest('on paper the rows of a table are all there, and nothing to press', tools, async (t) => {
  const { page } = await openReport(scratch(t), [program()]);
  await goTo(page, 'Keys and calls');
  await page.emulateMedia({ media: 'print' });
  const table = page.getByRole('table', { name: 'Keys and calls' });
  await table.locator('.scroller').waitFor({ state: 'detached' });
  assert.ok((await table.getByRole('row').count()) > 5, 'rows are there');
  assert.equal(await page.getByRole('navigation').isVisible(), false);
});

toolTest('a browser that cannot unpack the data says so', tools, async (t) => {
  const directory = scratch(t);
  const path = join(directory, 'report.html');
  const { html } = await report([program()]);
  writeFileSync(path, html);
  const { page } = await openFile(path);
  await page.addInitScript('delete window.DecompressionStream');
  await page.reload();
  assert.match(await page.locator('#root').innerText(), /needs DecompressionStream/);
});

toolTest('views are reached by number, and / leads to the search', tools, async (t) => {
  const { page } = await openReport(scratch(t), [program()]);
  await page.keyboard.press('3');
  assert.equal(new URL(page.url()).hash, '#keys');
  await page.getByRole('searchbox').waitFor();
  await page.keyboard.press('/');
  await page.keyboard.type('off_key');
  assert.equal(await page.getByRole('searchbox').inputValue(), 'off_key');
});
