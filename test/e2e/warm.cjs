// A thread that runs one command line after the other with the program of dist/, for warm.ts.
'use strict';
const { readFileSync } = require('node:fs');
const vm = require('node:vm');
const { workerData } = require('node:worker_threads');

const { bundle, port, flag } = workerData;

const said = { stdout: '', stderr: '' };
for (const name of ['stdout', 'stderr']) {
  // The streams stay, for Node has messages for them.
  process[name].write = (text) => {
    said[name] += text;
    return true;
  };
}

function answer(message) {
  port.postMessage(message);
  Atomics.store(flag, 0, 1);
  Atomics.notify(flag, 0);
}

// A defect may end this thread; whoever waits for it is told.
process.on('exit', (code) => answer({ ended: code }));

const starts = /\bstart\(\);?\s*$/;
const source = readFileSync(bundle, 'utf8');
if (!starts.test(source)) throw new Error(`${bundle} does not end in start()`);
// What the bundle runs when it starts, given arguments instead of those of the process.
const script = new vm.Script(
  `(function (require, __filename) {${source.replace(starts, 'return main;')}\n})`,
  {
    filename: bundle,
  },
);
const main = script.runInThisContext()(require('node:module').createRequire(bundle), bundle);

port.on('message', async (args) => {
  said.stdout = '';
  said.stderr = '';
  answer({ status: await main(args), ...said });
});
