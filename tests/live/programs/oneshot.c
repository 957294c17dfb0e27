/*
 * oneshot: handlers that the kernel resets when they are called (SA_RESETHAND). Afterwards the signal has its default action, and the
 * thread blocks what it blocked, also where it submits. The second signal ends a child. 0 if so.
 */
#include "device.h"

static volatile int heard;

static void note(int number)
{
	heard++;
}

/* 0, or what is not as the kernel has it. */
static int one(void *portal, int number)
{
	struct sigaction action = { .sa_handler = note, .sa_flags = SA_RESETHAND }, now;
	char source[64], target[64];
	sigset_t mask;
	int status;

	heard = 0;
	sigaction(number, &action, NULL);
	raise(number);
	for (int i = 0; i < 3; i++) {
		sigaction(number, NULL, &now);
		sigprocmask(SIG_BLOCK, NULL, &mask);
		if (heard != 1 || now.sa_handler != SIG_DFL || sigismember(&mask, number))
			return 1 + i;
		if (move(portal, source, target, 64) != 1)
			return 4;
	}
	if (!fork()) {
		raise(number);
		_exit(0);
	}
	wait(&status);
	return WIFSIGNALED(status) && WTERMSIG(status) == number ? 0 : 5;
}

int main(void)
{
	static const int numbers[] = { SIGILL, SIGSEGV, SIGBUS };
	void *portal = open_portal();

	for (int i = 0; i < 3; i++) {
		int wrong = one(portal, numbers[i]);

		if (wrong)
			return 10 * i + wrong;
	}
	return 0;
}
