// How much V8 compiles while a kernel's memory is verified, or the objects of a build are annotated.
import nodeModule from 'node:module';

const load = nodeModule.createRequire(import.meta.url);

/** Bytes of bytecode between two looks at how hot a function is; V8's own number is some 67 or 135 thousand. */
const budget = 1_000_000;

/**
 * Makes V8 wait longer before it optimises a function. Such work goes through hundreds of functions for a
 * second or so, and to optimise all of them took a third of the time of all threads. What is hot for longer is optimised a
 * little later. Of use for the command line alone: a program's own flags are none of the library's business.
 */
export function compileLess(): void {
  const { setFlagsFromString } = load('node:v8') as typeof import('node:v8');
  setFlagsFromString(`--interrupt-budget=${budget}`);
}
