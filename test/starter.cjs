// A small process that starts others for starter.ts: a question on one pipe, its answer on the other, until the first ends.
'use strict';
const { spawnSync } = require('node:child_process');
const { openSync, readSync, writeSync } = require('node:fs');

const questions = openSync(process.argv[2], 'r');
const answers = openSync(process.argv[3], 'w');

/** As many bytes as were asked for, or undefined when the other end is gone. */
function read(size) {
  const bytes = Buffer.alloc(size);
  for (let at = 0; at < size; ) {
    const count = readSync(questions, bytes, at, size - at);
    if (count === 0) return undefined;
    at += count;
  }
  return bytes;
}

function write(bytes) {
  for (let at = 0; at < bytes.length; ) at += writeSync(answers, bytes, at);
}

for (let size = read(4); size !== undefined; size = read(4)) {
  const { umask, command, args, options, input } = JSON.parse(read(size.readUInt32LE()));
  process.umask(umask);
  if (input !== undefined) options.input = Buffer.from(input, 'base64');
  const { status, signal, error, stdout, stderr } = spawnSync(command, args, options);
  const outputs = [stdout ?? Buffer.alloc(0), stderr ?? Buffer.alloc(0)];
  const [out, err] = outputs.map((bytes) => bytes.length);
  const head = Buffer.from(
    JSON.stringify({ status, signal, out, err, error: error && { ...error, message: error.message } }),
  );
  const length = Buffer.alloc(4);
  length.writeUInt32LE(head.length);
  for (const bytes of [length, head, ...outputs]) write(bytes);
}
