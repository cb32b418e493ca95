// Random programs as trees, and what they must print: an interpreter of the semantics of include/textpoke, for which
// keys, calls and counters are numbers. All arithmetic is that of 32-bit unsigned numbers.

/** A key, as code and as steps name it. */
export interface Key {
  readonly index: number;
  /** What code takes the address of: `k`, `array[2]`, `object.key`. */
  readonly spelling: string;
  /** What a step calls it. */
  readonly name: string;
  readonly initial: boolean;
}

/** A function that a call may lead to: of a number to a number, or of a number to nothing but a note in the log. */
export interface Target {
  readonly name: string;
  /** What a step calls it: its symbol. */
  readonly step: string;
  readonly isVoid: boolean;
  readonly a: number;
  readonly b: number;
  /** Known to its unit alone. */
  readonly isStatic: boolean;
}

/** What a call leads to: a function's name, `NULL` for nothing, `RET0` for the function that returns 0. */
export type Value = string;

export interface Call {
  readonly index: number;
  /** As code has it. */
  readonly name: string;
  /** What a step calls it. */
  readonly step: string;
  readonly isVoid: boolean;
  readonly isLocal: boolean;
  readonly initial: Value;
}

export interface Counter {
  readonly index: number;
  readonly name: string;
  readonly bits: 8 | 16 | 32 | 64;
}

export const atomics = ['add', 'sub', 'or', 'and', 'xor'] as const;

export type Statement =
  | { readonly op: 'mix'; readonly a: number; readonly b: number }
  | {
      readonly op: 'branch';
      readonly key: Key;
      readonly likely: boolean;
      readonly yes: readonly Statement[];
      readonly no: readonly Statement[];
    }
  | { readonly op: 'call' | 'note'; readonly call: Call }
  /** The old value is added to x; `after`: the new one. */
  | {
      readonly op: 'atomic';
      readonly what: (typeof atomics)[number];
      readonly counter: Counter;
      readonly operand: number;
      readonly after: boolean;
    }
  | { readonly op: 'exchange' | 'kept'; readonly counter: Counter; readonly operand: number }
  | { readonly op: 'compare'; readonly counter: Counter; readonly expected: number; readonly operand: number }
  | { readonly op: 'fence' }
  | { readonly op: 'switch' | 'goto'; readonly arms: readonly (readonly Statement[])[] }
  | { readonly op: 'loop'; readonly times: number; readonly body: readonly Statement[] }
  | { readonly op: 'query'; readonly call: Call; readonly target: Target }
  | { readonly op: 'enabled'; readonly key: Key }
  | { readonly op: 'helper'; readonly helper: Function_ }
  | { readonly op: 'lambda'; readonly body: readonly Statement[] }
  | { readonly op: 'try'; readonly before: readonly Statement[]; readonly behind: readonly Statement[] };

export type Shape = 'plain' | 'static' | 'inline' | 'template' | 'coroutine';

export interface Function_ {
  readonly name: string;
  readonly shape: Shape;
  readonly body: readonly Statement[];
  /** Called last, so that its result is the function's. */
  readonly tail?: Call | undefined;
  /** Attributes, as code has them. */
  readonly attributes: string;
  /** Number of a template's instance. */
  readonly instance: number;
}

/** Counts of keys, values of calls: what steps change. */
export interface State {
  readonly keys: number[];
  readonly calls: Value[];
}

/** What runs change. */
interface Memory {
  readonly state: State;
  readonly targets: ReadonlyMap<string, Target>;
  readonly counters: bigint[];
  log: number;
}

const mul = (a: number, b: number) => Math.imul(a, b) >>> 0;
const add = (a: number, b: number) => (a + b) >>> 0;

class Interpreter {
  private readonly memory: Memory;
  private readonly instance: number;
  private x: number;

  constructor(memory: Memory, x: number, instance: number) {
    this.memory = memory;
    this.x = x;
    this.instance = instance;
  }

  run(body: readonly Statement[]): void {
    for (const statement of body) this.step(statement);
  }

  private isEnabled = (key: Key) => (this.memory.state.keys[key.index] as number) > 0;

  private called(call: Call, argument: number): number {
    const value = this.memory.state.calls[call.index] as Value;
    if (value === 'NULL' || value === 'RET0') return 0;
    const { a, b, isVoid } = this.memory.targets.get(value) as Target;
    const result = add(mul(argument, a), b);
    if (!isVoid) return result;
    this.memory.log = add(mul(this.memory.log, 31), result);
    return 0;
  }

  private atomic({ index, bits }: Counter, change: (old: bigint) => bigint): [old: number, now: number] {
    const { counters } = this.memory;
    const old = counters[index] as bigint;
    const now = BigInt.asUintN(bits, change(old));
    counters[index] = now;
    const low = (value: bigint) => Number(BigInt.asUintN(32, value));
    return [low(old), low(now)];
  }

  private step(statement: Statement): void {
    const { memory } = this;
    switch (statement.op) {
      case 'mix':
        this.x = add(mul(this.x, statement.a), add(statement.b, this.instance));
        break;
      case 'branch':
        this.run(this.isEnabled(statement.key) ? statement.yes : statement.no);
        break;
      case 'call':
        this.x = add(this.x, this.called(statement.call, this.x));
        break;
      case 'note':
        this.called(statement.call, this.x);
        break;
      case 'atomic': {
        const operand = BigInt(statement.operand);
        const change = {
          add: (old: bigint) => old + operand,
          sub: (old: bigint) => old - operand,
          or: (old: bigint) => old | operand,
          and: (old: bigint) => old & operand,
          xor: (old: bigint) => old ^ operand,
        }[statement.what];
        const [old, now] = this.atomic(statement.counter, change);
        this.x = add(this.x, statement.after ? now : old);
        break;
      }
      case 'exchange':
        this.x = add(this.x, this.atomic(statement.counter, () => BigInt(statement.operand))[0]);
        break;
      case 'kept':
        this.x = add(this.x, this.atomic(statement.counter, (old) => old + BigInt(statement.operand))[0]);
        break;
      case 'compare': {
        const { counter, expected, operand } = statement;
        const isEqual = memory.counters[counter.index] === BigInt.asUintN(counter.bits, BigInt(expected));
        const [old] = this.atomic(counter, (now) => (isEqual ? BigInt(operand) : now));
        this.x = add(mul(this.x, 3), add(old, isEqual ? 1 : 0));
        break;
      }
      case 'fence':
        break;
      case 'switch':
      case 'goto':
        this.run(statement.arms[this.x % statement.arms.length] as readonly Statement[]);
        break;
      case 'loop':
        for (let i = 0; i < statement.times; i++) this.run(statement.body);
        break;
      case 'query':
        this.x = add(this.x, memory.state.calls[statement.call.index] === statement.target.name ? 1 : 0);
        break;
      case 'enabled':
        this.x = add(mul(this.x, 5), this.isEnabled(statement.key) ? 1 : 0);
        break;
      case 'helper':
        this.x = (this.x ^ callFunction(statement.helper, memory, this.x)) >>> 0;
        break;
      case 'lambda':
        this.run(statement.body);
        break;
      case 'try':
        this.run(statement.before);
        if (this.x % 2 === 1) this.x = add(mul(this.x, 7), 1);
        else this.run(statement.behind);
        break;
    }
  }

  /** Of a coroutine: the value at each co_yield, folded. */
  result(body: readonly Statement[], tail: Call | undefined, isCoroutine: boolean): number {
    if (!isCoroutine) {
      this.run(body);
      return tail ? this.called(tail, this.x) : this.x;
    }
    let sum = 0;
    for (const statement of body) {
      this.step(statement);
      sum = add(mul(sum, 31), this.x);
    }
    return sum;
  }
}

function callFunction({ body, tail, shape, instance }: Function_, memory: Memory, x: number): number {
  const number = shape === 'template' ? instance : 0;
  return new Interpreter(memory, x, number).result(body, tail, shape === 'coroutine');
}

export interface Model {
  readonly keys: readonly Key[];
  readonly calls: readonly Call[];
  readonly targets: readonly Target[];
  readonly counters: readonly Counter[];
  /** What main calls, in order, with these arguments. */
  readonly probes: readonly { readonly of: Function_; readonly argument: number }[];
}

export const initialState = ({ keys, calls }: Model): State => ({
  keys: keys.map(({ initial }) => (initial ? 1 : 0)),
  calls: calls.map(({ initial }) => initial),
});

/** What the program prints in a state: for each probe its result and the log. */
export function expectedTrace({ targets, counters, probes }: Model, state: State): string {
  const memory: Memory = {
    state,
    targets: new Map(targets.map((target) => [target.name, target])),
    counters: counters.map(() => 0n),
    log: 0,
  };
  return probes
    .map(({ of, argument }) => `${of.name} ${callFunction(of, memory, argument)} ${memory.log}\n`)
    .join('');
}
