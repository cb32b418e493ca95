// runtime.h in every language and compiler: what it takes without a warning, and what it refuses.

import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { run, scratch, testOfTurn, tryRun } from '../tools.ts';

const include = fileURLToPath(new URL('../../include', import.meta.url));
const flags = ['-Wall', '-Wextra', '-Werror', '-pedantic', `-I${include}`, '-c'];
const unit = (update: string) => `#include <textpoke/runtime.h>
DEFINE_STATIC_KEY_FALSE(key);
int one(int), other(long);
int one(int n) { return n + 1; }
DEFINE_STATIC_CALL(call, one);
DEFINE_STATIC_CALL_NULL(hook, void(int));
DEFINE_STATIC_CALL_RET0(zero, one);
DECLARE_STATIC_CALL_NULL(pointed, void (*)(int));
DEFINE_STATIC_KEY_DEFERRED_FALSE(slow, 10);
static DEFINE_STATIC_KEY_DEFERRED_TRUE(local, 10);
DECLARE_STATIC_KEY_DEFERRED_FALSE(slow);
static struct static_key_deferred old = {STATIC_KEY_INIT_TRUE, 0, TEXTPOKE_DEFERRED_INIT};
int deferred(void);
int deferred(void) {
  jump_label_rate_limit(&old, 20);
  if (static_branch_unlikely(&slow.key) || static_branch_likely(&local.key) || static_key_true(&old.key)) return 1;
  if (!static_branch_deferred_inc(&slow) || !static_branch_slow_dec_deferred(&slow)) return 2;
  static_call_cond(hook)(1);
  static_call_cond(pointed)(static_call(zero)(1));
  return !static_key_slow_dec_deferred(&old) || !static_key_deferred_flush(&local);
}
int change(int n);
int change(int n) {
  if (static_branch_unlikely(&key)) n++;
  if (!static_branch_enable(&key) || !static_branch_dec(&key)) n++;
  ${update}
  struct textpoke_change list[] = {{TEXTPOKE_INC, &key, 0, 0}};
  return textpoke_apply(list, 1) || static_call_query(call) == 0 ? static_call(call)(n) : (int)textpoke_init();
}
`;

const taken = ['one', '&one', '0', '(void *)0', '(void *)&__static_call_return0'];
const refused = ['other', '&other', '"text"'];

for (const [turn, [compiler, language]] of [
  ['gcc', 'c11'],
  ['clang', 'c++17'],
  ['clang', 'c11'],
  ['g++', 'c++17'],
].entries() as Iterable<[number, [string, string]]>)
  testOfTurn(turn, 4)(
    `${compiler}, ${language}: a call takes a function of its type alone, and nothing is warned about`,
    [compiler],
    (t) => {
      const directory = scratch(t);
      const source = join(directory, language.startsWith('c++') ? 'unit.cc' : 'unit.c');
      const words = [`-std=${language}`, ...flags, source, '-o', join(directory, 'unit.o')];
      writeFileSync(source, unit(taken.map((what) => `static_call_update(call, ${what});`).join('\n  ')));
      for (const more of ['-O2', '-DTEXTPOKE_NO_PATCHING']) run(compiler, [...words, more]);
      for (const what of refused) {
        writeFileSync(source, unit(`static_call_update(call, ${what});`));
        const { status, stderr } = tryRun(compiler, words);
        assert.equal(status, 1, what);
        assert.match(stderr, /a function of another type than the call|no matching|invalid conversion/, what);
      }
    },
  );
