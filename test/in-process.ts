// The command line in this process, with what it prints held back: a process of its own costs a second through tsx.
import type { TestContext } from 'node:test';

export interface Ran {
  readonly status: number;
  /** Standard output. */
  readonly text: string;
  /** Standard error. */
  readonly errors: string;
}

/** Runs `main` of src/main.ts, or of a copy of it. */
export async function runMain(
  t: TestContext,
  main: (argv: readonly string[]) => Promise<number>,
  argv: readonly string[],
): Promise<Ran> {
  const said = { stdout: '', stderr: '' };
  const mocks = (['stdout', 'stderr'] as const).map((name) => {
    const stream = {
      isTTY: false,
      on() {},
      write(text: string) {
        said[name] += text;
        return true;
      },
    };
    return t.mock.getter(process, name, () => stream as never);
  });
  try {
    return { status: await main(argv), text: said.stdout, errors: said.stderr };
  } finally {
    for (const { mock } of mocks) mock.restore();
  }
}
