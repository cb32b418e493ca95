/* A program with one of everything that verify looks at. */
#include "textpoke/lock.h"
#include "textpoke/static_call.h"
#include "textpoke/static_key.h"
#include <stdio.h>

#define INIT __attribute__((section(".init.text"), noinline))
#define USED __attribute__((noinline, used))

USED int plain(int n) { return n + 1; }
USED int other(int n) { return n + 2; }
INIT USED int early(int n) { return n + 3; }

DEFINE_STATIC_KEY_FALSE(off_key);
DEFINE_STATIC_KEY_TRUE(on_key);
DEFINE_STATIC_CALL(work, plain);
DEFINE_STATIC_CALL(rest, plain);
const long constants[4] = {1, 2, 3, 4};
int small = 1;
int counter;

USED int branches(int n) {
	if (static_branch_unlikely(&off_key))
		n += plain(n);
	if (static_branch_likely(&on_key))
		n += other(n);
	__asm__ volatile(".skip 200, 0x90");
	if (static_branch_unlikely(&off_key))
		n *= 3;
	return n;
}

USED int calls(int n) { return static_call(work)(n) + static_call(rest)(n) + 1; }

USED int tail(int n) { return static_call(work)(n); }

USED int locks(int n) {
	__atomic_fetch_add(&counter, n, __ATOMIC_SEQ_CST);
	__atomic_fetch_or(&counter, 1, __ATOMIC_SEQ_CST);
	__atomic_fetch_xor(&counter, 2, __ATOMIC_SEQ_CST);
	return counter;
}

USED int shared(int n) {
	__asm__ volatile(TEXTPOKE_KEEP_LOCK "lock; xaddl %0, %1" : "+r"(n), "+m"(counter) : : "memory");
	return n;
}

#ifdef MORE
USED int more(int n) {
	if (static_branch_likely(&on_key))
		n += 7;
	return n;
}
#endif

INIT USED int start(int n) {
	if (static_branch_unlikely(&off_key))
		n += 5;
	return static_call(work)(n) + 1;
}

int main(void) {
	printf("%d\n", start(1) + branches(2) + calls(3) + tail(4) + locks(5) + shared(6) + small + (int)constants[1]);
}
