/*
 * siblings: a process that shares this one's memory, but not its handlers, submits through a portal that is mapped later, with SIGILL blocked.
 * Its handler and its mask stay as they are. 0 if so.
 */
#include "device.h"

static void *volatile portal;
static char stack[1 << 16], source[64] = "x", target[64];

static void note(int number)
{
}

static int sibling(void *unused)
{
	struct sigaction action = { .sa_handler = note };
	sigset_t all, blocked;

	sigfillset(&all);
	sigaction(SIGILL, &action, NULL);
	sigprocmask(SIG_BLOCK, &all, NULL);
	while (!portal)
		sched_yield();
	for (int i = 0; i < 20; i++)
		if (move(portal, source, target, 64) != 1)
			return 1;
	sigprocmask(SIG_BLOCK, NULL, &blocked);
	sigaction(SIGILL, NULL, &action);
	return action.sa_handler != note ? 2 : !sigismember(&blocked, SIGILL) ? 3 : 0;
}

int main(void)
{
	pid_t pid = clone(sibling, stack + sizeof stack, CLONE_VM | SIGCHLD, NULL);
	int status;

	sleep_for(0.02);
	portal = open_portal();
	waitpid(pid, &status, 0);
	return status >> 8;
}
