// Makes passes over a subject, one after the other.
import type { GeneratedPage, PassNote, TextPass, TextSubject } from './pass.ts';
import type { PassDone } from './result.ts';

/** What came of passes. */
export interface Done {
  readonly done: PassDone[];
  readonly notes: PassNote[];
  readonly pages: GeneratedPage[];
}

/** Adds to `made` what comes of the passes; one that comes twice is told once. */
export function runPasses<State>(
  passes: readonly TextPass<State>[],
  subject: TextSubject<State>,
  made: Done,
): void {
  for (const { kind, name, run } of passes) {
    const result = run(subject);
    if (!result) continue;
    for (const note of result.notes) made.notes.push(note);
    for (const page of result.pages ?? []) made.pages.push(page);
    if (made.done.every((one) => one.name !== name)) made.done.push({ kind, name, sites: result.sites });
  }
}
