// Random programs: units of C or C++ that share keys and calls, and steps that change both.
import type { BootStep } from '../../src/boot/steps.ts';
import type { Random } from '../seeded.ts';
import {
  atomics,
  type Call,
  type Counter,
  type Function_,
  initialState,
  type Key,
  type Model,
  type Shape,
  type State,
  type Statement,
  type Target,
} from './model.ts';

export interface Unit {
  /** Name of the file: `u0.c`. */
  readonly file: string;
  readonly isCpp: boolean;
  readonly hasCoroutines: boolean;
  /** Behind its include lines, one definition a line. */
  readonly definitions: readonly string[];
  readonly targets: readonly Target[];
  readonly counters: readonly Counter[];
  readonly functions: readonly Function_[];
}

export interface Generated extends Model {
  readonly units: readonly Unit[];
  /** Lines of the header that all units include. */
  readonly declarations: readonly string[];
  /** Inline functions of the header for C++. */
  readonly shared: readonly Function_[];
}

/** What a unit is to be. */
export interface UnitKind {
  readonly isCpp: boolean;
  readonly hasCoroutines: boolean;
  /** clang's C++ lets none stand beside a try block: it might lead into it. */
  readonly hasComputedGoto: boolean;
  /** Locks in inline assembly, beside static branches. */
  readonly hasKeptLocks: boolean;
  /** How far a member lies behind an `int` in a structure. */
  readonly memberOffset: number;
}

const attributes = [
  '',
  '',
  '',
  '__attribute__((noinline)) ',
  '__attribute__((cold)) ',
  '__attribute__((hot)) ',
];
const placed = ['__attribute__((aligned(64))) ', '__attribute__((section(".text.own"))) '];

class Maker {
  readonly random: Random;
  readonly keys: Key[] = [];
  readonly calls: Call[] = [];
  readonly targets: Target[] = [];
  readonly counters: Counter[] = [];
  readonly declarations: string[] = [];

  constructor(random: Random) {
    this.random = random;
  }

  number = () => this.random.below(2 ** this.random.below(33));
  odd = () => (this.number() | 1) >>> 0;

  key(spelling: string, name: string, initial: boolean): Key {
    const key = { index: this.keys.length, spelling, name, initial };
    this.keys.push(key);
    return key;
  }

  /** One statement of a unit's function, no deeper than `depth`. */
  statement(scope: Scope, depth: number): Statement {
    const { random } = this;
    const { keys, calls, counters, helpers } = scope;
    const few = (most: number) => this.body(scope, depth - 1, most);
    const pick = random.below(depth > 0 ? 26 : 14);
    const mix: Statement = { op: 'mix', a: this.odd(), b: this.number() };
    const numeric = calls.filter(({ isVoid }) => !isVoid);
    const notes = calls.filter(({ isVoid }) => isVoid);
    if (pick < 2) return mix;
    if (pick < 4 && numeric.length > 0) return { op: 'call', call: random.pick(numeric) };
    if (pick < 6 && notes.length > 0) return { op: 'note', call: random.pick(notes) };
    if (pick < 9 && counters.length > 0) return this.atomic(scope);
    if (pick === 9) return { op: 'fence' };
    if (pick === 10) return { op: 'enabled', key: random.pick(keys) };
    if (pick === 11 && numeric.length > 0) {
      const target = random.pick(scope.targets.filter(({ isVoid }) => !isVoid));
      return { op: 'query', call: random.pick(numeric), target };
    }
    if (pick < 14 && helpers.length > 0) return { op: 'helper', helper: random.pick(helpers) };
    if (pick < 20 || depth === 0) {
      return {
        op: 'branch',
        key: random.pick(keys),
        likely: random.chance(0.5),
        yes: depth > 0 ? few(3) : [mix],
        no: depth > 0 && random.chance(0.6) ? few(3) : [],
      };
    }
    if (pick === 20) return { op: 'switch', arms: Array.from({ length: 5 + random.below(6) }, () => few(2)) };
    if (pick === 21 && scope.mayJump && scope.hasComputedGoto)
      return { op: 'goto', arms: Array.from({ length: 2 + random.below(3) }, () => few(2)) };
    if (pick < 24) return { op: 'loop', times: random.below(4), body: few(2) };
    if (scope.isCpp && scope.mayJump && pick === 24) return { op: 'lambda', body: few(3) };
    if (scope.isCpp) return { op: 'try', before: few(2), behind: few(2) };
    return mix;
  }

  body(scope: Scope, depth: number, most: number): Statement[] {
    return Array.from({ length: 1 + this.random.below(most) }, () =>
      this.statement(scope, Math.max(depth, 0)),
    );
  }

  private atomic({ counters, hasKeptLocks }: Scope): Statement {
    const { random } = this;
    const counter = random.pick(counters);
    const operand = random.below(2 ** Math.min(counter.bits, 31));
    const pick = random.below(8);
    if (pick === 0) return { op: 'exchange', counter, operand };
    if (pick === 1) return { op: 'compare', counter, expected: random.below(3), operand };
    const wide = counters.filter(({ bits }) => bits === 32);
    if (pick === 2 && wide.length > 0) {
      const one = { counter: random.pick(wide), operand };
      return hasKeptLocks ? { op: 'kept', ...one } : { op: 'atomic', what: 'add', ...one, after: false };
    }
    return { op: 'atomic', what: random.pick(atomics), counter, operand, after: random.chance(0.3) };
  }
}

/** What a function may use. */
interface Scope {
  readonly keys: readonly Key[];
  readonly calls: readonly Call[];
  readonly targets: readonly Target[];
  readonly counters: readonly Counter[];
  readonly helpers: readonly Function_[];
  readonly isCpp: boolean;
  readonly hasComputedGoto: boolean;
  readonly hasKeptLocks: boolean;
  /** Computed goto and lambdas: not in inline functions, whose label addresses would differ, nor in coroutines. */
  readonly mayJump: boolean;
}

/** Makes a program of such units. */
export function generate(random: Random, kinds: readonly UnitKind[]): Generated {
  const maker = new Maker(random);
  const { keys, calls, targets, declarations } = maker;
  const parts = kinds.map(({ isCpp, memberOffset }, u) => {
    const definitions: string[] = [];
    const own: Target[] = Array.from({ length: 5 }, (_, i) => ({
      name: `u${u}_f${i}`,
      // The third is static, and so has no C linkage.
      step: isCpp && i === 2 ? `_ZL${`u${u}_f2`.length}u${u}_f2j` : `u${u}_f${i}`,
      isVoid: i > 2,
      a: maker.odd(),
      b: maker.number(),
      isStatic: i === 2,
    }));
    for (const target of own) targets.push(target);
    for (const { name, isVoid } of own.filter(({ isStatic }) => !isStatic))
      declarations.push(`${isVoid ? 'void' : 'unsigned'} ${name}(unsigned n);`);
    const localKeys: Key[] = [];
    const sharedKeys: Key[] = [];
    for (let i = 0; i < 2 + random.below(3); i++) {
      const initial = random.chance(0.5);
      const name = `u${u}_k${i}`;
      const type = initial ? 'TRUE' : 'FALSE';
      definitions.push(`DEFINE_STATIC_KEY_${type}(${name});`);
      declarations.push(`DECLARE_STATIC_KEY_${type}(${name});`);
      sharedKeys.push(maker.key(`&${name}`, name, initial));
    }
    const initial = random.chance(0.5);
    const type = initial ? 'TRUE' : 'FALSE';
    definitions.push(`DEFINE_STATIC_KEY_ARRAY_${type}(u${u}_a, 3);`);
    declarations.push(`DECLARE_STATIC_KEY_ARRAY_${type}(u${u}_a, 3);`);
    for (const i of [0, 2]) sharedKeys.push(maker.key(`&u${u}_a[${i}]`, `u${u}_a[${i}]`, initial));
    const file = `u${u}.${isCpp ? 'cpp' : 'c'}`;
    // The same name in every unit.
    definitions.push('static DEFINE_STATIC_KEY_FALSE(local_key);');
    localKeys.push(maker.key('&local_key', `${file}:${isCpp ? '_ZL9local_key' : 'local_key'}`, false));
    definitions.push(
      `struct u${u}_object { int id; struct static_key_false key; } u${u}_object TEXTPOKE_HIDDEN TEXTPOKE_KEY_DATA(u${u}_object) = {1, STATIC_KEY_FALSE_INIT};`,
    );
    localKeys.push(maker.key(`&u${u}_object.key`, `u${u}_object+0x${memberOffset.toString(16)}`, false));
    const sharedCalls: Call[] = [];
    const localCalls: Call[] = [];
    const define = (name: string, step: string, isVoid: boolean, isLocal: boolean) => {
      const fitting = own.filter((target) => target.isVoid === isVoid);
      const target = random.pick(fitting);
      const form = random.below(4);
      const initialValue = form === 0 ? 'RET0' : form === 1 && isVoid ? 'NULL' : target.name;
      const suffix = initialValue === target.name ? '' : `_${initialValue}`;
      definitions.push(`DEFINE_STATIC_CALL${suffix}${isLocal ? '_LOCAL' : ''}(${name}, ${target.name});`);
      const declared = fitting.find(({ isStatic }) => !isStatic) as Target;
      if (!isLocal) declarations.push(`DECLARE_STATIC_CALL(${name}, ${declared.name});`);
      const call = { index: calls.length, name, step, isVoid, isLocal, initial: initialValue };
      calls.push(call);
      (isLocal ? localCalls : sharedCalls).push(call);
    };
    for (let i = 0; i < 2 + random.below(2); i++) define(`u${u}_c${i}`, `u${u}_c${i}`, i % 2 === 1, false);
    define('local_call', `${file}:local_call`, random.chance(0.5), true);
    const counters = ([8, 16, 32, 64] as const).map((bits): Counter => {
      const counter = { index: maker.counters.length, name: `u${u}_n${bits}`, bits };
      maker.counters.push(counter);
      return counter;
    });
    return { own, file, definitions, localKeys, sharedKeys, sharedCalls, localCalls, counters };
  });
  const allKeys = parts.flatMap(({ sharedKeys }) => sharedKeys);
  const allCalls = parts.flatMap(({ sharedCalls }) => sharedCalls);
  const visible = targets.filter(({ isStatic }) => !isStatic);
  const shared: Function_[] = [];
  const withoutJumps = { hasComputedGoto: false, hasKeptLocks: false, mayJump: false };
  for (let i = 0; i < 3; i++) {
    const scope = { keys: allKeys, calls: allCalls, targets: visible, counters: [], helpers: [...shared] };
    shared.push({
      name: `shared${i}`,
      shape: 'inline',
      body: maker.body({ ...scope, isCpp: true, ...withoutJumps }, 2, 3),
      attributes: random.pick(attributes),
      instance: 0,
    });
  }
  const bare = {
    targets: visible,
    counters: [],
    helpers: [],
    isCpp: false,
    ...withoutJumps,
  };
  const probes: { of: Function_; argument: number }[] = [];
  const units = parts.map((part, u): Unit => {
    const { isCpp, hasCoroutines, hasComputedGoto, hasKeptLocks } = kinds[u] as UnitKind;
    const functions: Function_[] = [];
    for (let i = 0; i < 8 + random.below(8); i++) {
      const shapes: Shape[] = ['plain', 'plain', 'plain', 'static', 'static'];
      if (isCpp) shapes.push('template');
      if (hasCoroutines) shapes.push('coroutine');
      const shape = random.pick(shapes);
      const numeric = [...allCalls, ...part.localCalls].filter(({ isVoid }) => !isVoid);
      const scope: Scope = {
        keys: [...allKeys, ...part.localKeys, ...part.sharedKeys, ...part.localKeys],
        calls: [...allCalls, ...part.localCalls, ...part.sharedCalls],
        targets: [...visible, ...part.own],
        counters: part.counters,
        helpers: [...functions, ...(isCpp ? shared : [])],
        isCpp,
        hasComputedGoto,
        hasKeptLocks,
        mayJump: shape !== 'template' && shape !== 'coroutine',
      };
      const isTail = shape !== 'coroutine' && random.chance(0.4);
      functions.push({
        name: `u${u}_p${i}`,
        shape,
        body: maker.body(scope, 3, 4),
        tail: isTail ? random.pick(numeric) : undefined,
        attributes: shape === 'plain' && random.chance(0.2) ? random.pick(placed) : random.pick(attributes),
        instance: random.below(1000),
      });
    }
    // No call is without a site, and no key and no function that a step may name is dropped.
    const own = [...part.sharedCalls, ...part.localCalls];
    const each = own.map((call): Statement => ({ op: call.isVoid ? 'note' : 'call', call }));
    for (const key of [...part.sharedKeys, ...part.localKeys]) {
      const [yes] = [maker.body({ ...bare, keys: [key], calls: own }, 0, 1)];
      if (part.sharedKeys.includes(key) && random.chance(0.2)) each.push({ op: 'enabled', key });
      else each.push({ op: 'branch', key, likely: random.chance(0.5), yes, no: [] });
    }
    for (const target of part.own) {
      const call = own.find(({ isVoid }) => isVoid === target.isVoid) as Call;
      each.push({ op: 'query', call, target });
    }
    functions.push({ name: `u${u}_each`, shape: 'plain', body: each, attributes: '', instance: 0 });
    for (const of of functions.filter(({ shape }) => shape !== 'static'))
      for (let i = 0; i < 2; i++) probes.push({ of, argument: maker.number() });
    const { file, definitions, counters } = part;
    return { file, isCpp, hasCoroutines, definitions, targets: part.own, counters, functions };
  });
  const { counters } = maker;
  return { keys, calls, targets, counters, probes, units, shared, declarations };
}

/** Random steps that warn of nothing, the state behind them, and the steps that take them back. */
export function randomSteps(
  random: Random,
  model: Model,
  isPositionIndependent: boolean,
): { readonly steps: BootStep[]; readonly back: BootStep[]; readonly state: State } {
  const state = initialState(model);
  const steps: BootStep[] = [];
  const back: BootStep[] = [];
  const named = new Map(model.targets.map(({ name, step }) => [name, step]));
  const stepOf = (value: string) => named.get(value) ?? value;
  const hasReturn0 = model.calls.some(({ initial }) => initial === 'RET0');
  for (let left = 4 + random.below(12); left > 0; left--) {
    if (random.chance(0.6)) {
      const { index, name: key } = random.pick(model.keys);
      const count = state.keys[index] as number;
      const what =
        count === 0 ? random.pick(['enable', 'inc'] as const) : random.pick(['inc', 'dec'] as const);
      const isOff = count === 1 && what === 'dec' && random.chance(0.5);
      steps.push({ do: isOff ? 'disable' : what, key });
      back.unshift({ do: what === 'dec' ? 'inc' : 'dec', key });
      state.keys[index] = count + (what === 'dec' ? -1 : 1);
    } else {
      const { index, step: call, isVoid, initial } = random.pick(model.calls);
      // There is no relocation that could hold another value.
      if (initial === 'NULL' && isPositionIndependent) continue;
      const values = model.targets.filter((target) => target.isVoid === isVoid).map(({ name }) => name);
      if (hasReturn0) values.push('RET0');
      if (isVoid) values.push('NULL');
      const value = random.pick(values);
      steps.push({ do: 'update', call, value: stepOf(value) });
      back.unshift({ do: 'update', call, value: stepOf(state.calls[index] as string) });
      state.calls[index] = value;
    }
  }
  return { steps, back, state };
}
