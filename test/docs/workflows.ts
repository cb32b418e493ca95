// The script lines of workflows of GitHub and GitLab, in the order in which they run.
import { parse } from 'yaml';

interface Step {
  readonly run?: string;
  readonly uses?: string;
}

/** The commands of a workflow; `uses` are steps of GitHub's that no shell can run. */
export function scriptsOf(text: string): { readonly scripts: string[]; readonly uses: string[] } {
  const document = parse(text, { strict: true, uniqueKeys: true }) as Record<string, unknown>;
  const scripts: string[] = [];
  const uses: string[] = [];
  if (document.jobs !== undefined) {
    for (const job of Object.values(document.jobs as Record<string, { readonly steps: readonly Step[] }>))
      for (const step of job.steps) {
        if (step.run !== undefined) scripts.push(step.run);
        else if (step.uses !== undefined) uses.push(step.uses);
        else throw new Error(`a step that does nothing: ${JSON.stringify(step)}`);
      }
    return { scripts, uses };
  }
  for (const [name, job] of Object.entries(document)) {
    const { before_script: before = [], script } = (job ?? {}) as Record<
      string,
      readonly string[] | undefined
    >;
    if (script === undefined) throw new Error(`${name}: a job without a script`);
    scripts.push([...before, ...script].join('\n'));
  }
  return { scripts, uses };
}
