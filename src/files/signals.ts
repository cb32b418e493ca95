// Signals that end a program. Until there is something to be ended first, they end it as they do by themselves, in the
// middle of any work; a handler would run only when the work gives way.

const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
const works = new Set<() => unknown>();
let isProgram = false;

/** Says that this process is a program of its own, in its main thread: signals are its own affair. */
export function ownSignals(): void {
  isProgram = true;
}

/** From now on a signal that ends this program does so when all of these works are done. */
export function beforeSignals(work: () => unknown): void {
  if (!isProgram) return;
  if (works.size === 0) {
    for (const signal of signals) {
      process.once(signal, async () => {
        for (const each of works) await each();
        process.kill(process.pid, signal);
      });
    }
  }
  works.add(work);
}
