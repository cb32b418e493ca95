// Code for kCFI to check: functions of many types, and calls and jumps through pointers to them, as clang compiles them with a
// kernel's options. And the tables that objtool makes for it.
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { readElf } from '../../../src/elf/read.ts';

const types = ['int', 'long', 'char', 'void *', 'unsigned short', 'struct s *', 'unsigned long'];
const typeCount = 150;

/** As a kernel with retpolines, return thunks, IBT and call padding is compiled (arch/x86/Makefile). */
const options = [
  ...['-O2', '-fno-pic', '-mno-sse', '-mno-mmx', '-mno-red-zone', '-fno-asynchronous-unwind-tables'],
  ...['-fno-jump-tables', '-fcf-protection=branch', '-mretpoline-external-thunk'],
  ...['-mindirect-branch-cs-prefix', '-mharden-sls=all', '-falign-functions=16'],
  ...['-fpatchable-function-entry=11,11', '-fsanitize=kcfi'],
];

function source(): string {
  const parts = ['struct s { int a; };'];
  for (let i = 0; i < typeCount; i++) {
    const args = Array.from({ length: i % 7 }, (_, k) => types[(i * 3 + k * 5 + (i >> 3)) % 7]);
    const result = types[i % 7];
    const given = args.map((_, k) => `a${k}`).join(', ');
    const taken = args.join(', ') || 'void';
    const named = args.map((type, k) => `${type} a${k}`);
    const list = named.join(', ') || 'void';
    const behind = (first: string) => [first, ...named].join(', ');
    parts.push(`typedef ${result} (*t${i})(${taken});`, `extern t${i} p${i}[];`);
    for (const k of [0, 1])
      parts.push(
        `${result} f${i}_${k}(${list}) { ${result} (*volatile q)(${taken}) = p${i}[${k}]; q(${given}); return (${result})${k + i}; }`,
      );
    parts.push(
      `${result} tail${i}(${behind(`t${i} p`)}) { return p(${given}); }`,
      `int cond${i}(${behind('int x')}) { if (x > 3) { p${i}[x](${given}); return x; } return x + ${i}; }`,
      `void void${i}(int x, void (*g)(int)) { if (x) g(x + ${i}); }`,
      `t${i} p${i}[] = { f${i}_0, f${i}_1, f${i}_0, f${i}_1, f${i}_0 };`,
    );
  }
  parts.push(
    '__attribute__((nocf_check)) void bare(void (*g)(void)) { g(); }',
    '__attribute__((no_sanitize("kcfi"))) long nocfi(long (*g)(long)) { return g(1) + 1; }',
  );
  return `${parts.join('\n')}\n`;
}

const registers = [
  ...['rax', 'rcx', 'rdx', 'rbx', 'rsp', 'rbp', 'rsi', 'rdi'],
  ...['r8', 'r9', 'r10', 'r11', 'r12', 'r13', 'r14', 'r15'],
];

/** Thunks and tables, in assembler. `tables` are offsets in the code, by the name of the section. */
function assembler(tables: Readonly<Record<string, readonly number[]>>): string {
  const lines = [
    ...['.section .text.begin, "ax"', '.balign 64', '.globl victim_begin, _text', '_text:', 'victim_begin:'],
    ...['.section .text.thunks, "ax"', '.globl victim_end, _etext', 'victim_end:', '_etext:'],
  ];
  for (const [kind, size] of [
    ['', 32],
    ['call_', 32],
    ['jump_', 32],
    ['its_', 64],
  ] as const) {
    const name = `__x86_indirect_${kind}thunk`;
    lines.push(`.balign ${size}`, `.globl ${name}_array`, `${name}_array:`);
    for (const register of registers)
      lines.push(
        `.globl ${name}_${register}`,
        `.type ${name}_${register},@function`,
        `${name}_${register}: jmp *%${register}`,
        `.balign ${size}, 0xcc`,
      );
  }
  lines.push('.balign 32', '.globl __bhi_args', '.type __bhi_args,@function', '__bhi_args:');
  for (let i = 0; i < 8; i++) lines.push('.balign 32, 0xcc', 'ret');
  for (const [name, places] of Object.entries(tables)) {
    const short = /cfi|retpoline|seal/.exec(name)?.[0];
    lines.push(`.section ${name}, "a"`, `.globl __start_${short}, __stop_${short}`, `__start_${short}:`);
    for (const place of places) lines.push(`.long victim_begin + ${place} - .`);
    lines.push(`__stop_${short}:`);
  }
  return `${lines.join('\n')}\n`;
}

/** Compiles it in a directory; returns what is to be linked, and how many functions and branches are listed. */
export function makeVictim(
  directory: string,
  clang: string,
  more: readonly string[],
): { readonly files: readonly string[]; readonly functions: number; readonly branches: number } {
  const place = (name: string) => join(directory, name);
  writeFileSync(place('victim.c'), source());
  const object = place('victim.o');
  execFileSync(clang, [...options, ...more, '-c', place('victim.c'), '-o', object], { stdio: 'inherit' });
  // A name of its own, so that the linker puts it between the bounds.
  execFileSync('objcopy', ['--rename-section', '.text=.text.victim', object]);
  const elf = readElf(object, readFileSync(object));
  const code = elf.named('.text.victim');
  if (!code || !elf.symtab) throw new Error(`${object} has no code`);
  const text = Buffer.from(elf.data(code));
  const symbols = elf.symbols(elf.symtab);
  const branches: number[] = [];
  for (const section of elf.relocationSections(code.index)) {
    const { count, offset, symbol } = elf.relocations(section);
    for (let i = 0; i < count; i++) {
      if (!symbols.name(symbol[i] as number).startsWith('__x86_indirect_thunk_')) continue;
      let at = (offset[i] as number) - 1;
      if (text[at - 1] === 0x0f && ((text[at] as number) & 0xf0) === 0x80) at--;
      if (text[at - 1] === 0x2e) at--;
      branches.push(at);
    }
  }
  const functions: number[] = [];
  const sealed: number[] = [];
  for (let i = 0; i < symbols.count; i++) {
    if (symbols.section[i] !== code.index) continue;
    const at = symbols.value[i] as number;
    const name = symbols.name(i);
    if (name.startsWith('__cfi_')) functions.push(at);
    if (/^(tail|void|bare|nocfi)/.test(name) && text.readUInt32LE(at) === 0xfa1e0ff3) sealed.push(at);
  }
  const tables = { '.cfi_sites': functions, '.retpoline_sites': branches, '.ibt_endbr_seal': sealed };
  writeFileSync(place('sites.S'), assembler(tables));
  return { files: [object, place('sites.S')], functions: functions.length, branches: branches.length };
}
