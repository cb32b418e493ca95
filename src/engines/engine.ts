// Loads the packages of the engines. They are optional: whoever ships textpoke may leave them out, so what is missing is
// an error that says which package to install, and only what asks for an engine meets it.
import { TextpokeError } from '../errors.ts';

/** A package of an engine: what it does here, as an error says it. */
const purposes = { 'capstone-wasm': 'disassembly', 'keystone-wasm': '--cross-check' } as const;

/** The module that `load` imports. Error `engine-missing`: its package is not installed. */
export async function importEngine<Engine>(
  name: keyof typeof purposes,
  load: () => Promise<Engine>,
): Promise<Engine> {
  try {
    return await load();
  } catch (error) {
    if (!isMissing(error, name)) throw error;
    throw new TextpokeError(
      'engine-missing',
      `${purposes[name]} needs the package ${name}, which is not installed; install it with: npm install ${name}`,
    );
  }
}

/** True when the package itself is missing, and not a part of it: the command line asks by require, the library by import. */
function isMissing(error: unknown, name: string): boolean {
  const { code, message = '' } = error as { code?: string; message?: string };
  return (code === 'MODULE_NOT_FOUND' || code === 'ERR_MODULE_NOT_FOUND') && message.includes(`'${name}'`);
}
