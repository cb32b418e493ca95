// What textpoke uses of capstone-wasm and keystone-wasm. Both ship declarations, but their package.json hides
// them from `moduleResolution: nodenext` ("exports" without "types").
declare module 'capstone-wasm' {
  export interface Insn {
    readonly size: number;
    readonly mnemonic: string;
    readonly opStr: string;
  }
  export class Capstone {
    constructor(arch: number, mode: number);
    disasm(data: Uint8Array, options?: { address?: number | bigint; count?: number }): Insn[];
  }
  export function loadCapstone(module?: Record<string, unknown>): Promise<void>;
  export const Const: Readonly<Record<string, number>>;
}

declare module 'keystone-wasm' {
  export class Keystone {
    constructor(arch: number, mode: number);
    asm(text: string, options?: { address?: number | bigint }): Uint8Array;
  }
  export function loadKeystone(module?: Record<string, unknown>): Promise<void>;
  export const Const: Readonly<Record<string, number>>;
}
