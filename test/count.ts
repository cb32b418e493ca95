// Prints how many tests some files hold. They are loaded, and none is run.
import { register } from 'node:module';
import { pathToFileURL } from 'node:url';

const counter = `
globalThis.testsCounted = 0;
export const test = () => { globalThis.testsCounted++; };
export default test;
export const [after, before, afterEach, beforeEach] = Array(4).fill(() => {});
`;
const inPlaceOfTests = `data:text/javascript,${encodeURIComponent(counter)}`;
const resolve = `
export const resolve = (specifier, context, next) =>
  specifier === 'node:test' ? { url: ${JSON.stringify(inPlaceOfTests)}, shortCircuit: true } : next(specifier, context);
`;
register(`data:text/javascript,${encodeURIComponent(resolve)}`);

for (const file of process.argv.slice(2)) await import(pathToFileURL(file).href);
process.stdout.write(`${(globalThis as { testsCounted?: number }).testsCounted ?? 0}`);
