// The documents that are run, what they need, and what is done for them before their first block.
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './run.ts';

/** Every document with code blocks, by its path in the tree. */
export const documents: readonly string[] = [
  'README.md',
  'CONTRIBUTING.md',
  'DESIGN.md',
  ...readdirSync(join(root, 'docs'))
    .filter((name) => name.endsWith('.md'))
    .sort()
    .map((name) => `docs/${name}`),
  'samples/redis/README.md',
];

/** Where test/docs/kernels.sh has put kernels; a name that is no file where it has not. */
const kernels = process.env.TEXTPOKE_KERNELS ?? '/TEXTPOKE_KERNELS of test/docs/kernels.sh';

/** Outside tools of a document, beside gcc and bash. */
export const tools: Readonly<Record<string, readonly string[]>> = {
  'README.md': ['gdb'],
  'docs/tutorial.md': ['gdb'],
  'docs/tour.md': ['gdb'],
  'docs/questions.md': [kernels],
  'docs/dump.md': [kernels, 'jq'],
  'docs/report.md': [kernels],
  'docs/verify.md': [kernels],
  'docs/ci.md': ['git', 'make'],
  'docs/builds.md': ['make', 'patch'],
};

/** Documents about the kernels of test/docs/kernels.sh, which are later ones each time. */
export const ofKernels: readonly string[] = [
  'docs/questions.md',
  'docs/dump.md',
  'docs/report.md',
  'docs/verify.md',
];

/** Shell lines that stand in for what a document takes for granted. */
export const preparations: Readonly<Record<string, string>> = {
  'docs/dump.md': `ln -s "${kernels}/vmlinuz" vmlinux`,
  'docs/report.md': `ln -s "${kernels}"/* .`,
  'docs/verify.md': `ln -s "${kernels}/vmlinuz" .`,
  // Each command tells on standard error what it unpacked, which the page says once.
  'docs/questions.md': `
    ln -s "${kernels}"/* .
    textpoke() {
      command textpoke "$@" 2> errors
      local status=$?
      grep -v ': bzImage, ' errors
      return $status
    }`,
  // A project with a history, on a branch that has one branch more; the network and its programs say what they are asked.
  'docs/ci.md': `
    cp samples/build/program/* .
    cat > Makefile <<'END'
CC = textpoke cc -- gcc
CFLAGS = -g -O2 $(shell textpoke config --cflags)
LDFLAGS = $(shell textpoke config --ldflags)
program: main.o greet.o
	$(CC) $(LDFLAGS) $^ -o $@
END
    export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b
    git init -q -b main . && git add *.c *.h Makefile && git commit -q -m base
    git clone -q . ../origin && git remote add origin ../origin && git fetch -q
    sed -i 's/^void greet_loud.*/void greet_loud(const char *who) { if (static_branch_unlikely(\\&tracing)) puts(who); }/' greet.c
    export GITHUB_BASE_REF=main NUMBER=7 GH_TOKEN=t
    export CI_MERGE_REQUEST_TARGET_BRANCH_NAME=main COMMENT_TOKEN=t CI_API_V4_URL=u CI_PROJECT_ID=1 CI_MERGE_REQUEST_IID=2
    npm() { [ "$*" = 'install --global textpoke' ]; }
    gh() { [ "$*" = 'pr comment 7 --body-file diff.md' ] && test -s diff.md; }
    curl() { test -s diff.md; }`,
};
