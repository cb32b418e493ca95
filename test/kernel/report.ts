// What a run of the kernel tests says, on the terminal and in report.md.

export class Report {
  failed = false;
  private readonly lines: string[] = [];

  say(line: string): void {
    console.log(line);
    this.lines.push(line);
  }

  expect(holds: boolean, line: string): void {
    if (!holds) this.failed = true;
    this.say(`${holds ? 'ok' : 'FAILED'}: ${line}`);
  }

  get text(): string {
    return `${this.lines.join('\n')}\n`;
  }
}
