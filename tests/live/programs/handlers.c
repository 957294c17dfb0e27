/*
 * handlers: two processes have their handlers in common (CLONE_SIGHAND). What one sets the other has, also after a submission with
 * all signals blocked.
 */
#include "device.h"

static void *portal;
static char stack[1 << 16] __attribute__((aligned(16))), source[64], target[64];
static volatile int first, second, set;

static void is_first(int number)
{
	first++;
}

static void is_second(int number)
{
	second++;
}

static int child(void *unused)
{
	signal(SIGSEGV, is_second);
	set = 1;
	syscall(SYS_exit, move(portal, source, target, 64) != 1);
	return 0;
}

int main(void)
{
	struct sigaction now_set;
	sigset_t all;
	int status;

	portal = open_portal();
	signal(SIGSEGV, is_first);
	move(portal, source, target, 64);
	pid_t other = clone(child, stack + sizeof stack, CLONE_VM | CLONE_SIGHAND | SIGCHLD, NULL);
	if (other < 0 || waitpid(other, &status, 0) != other || status || !set)
		return 1;
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, NULL);
	int moved = move(portal, source, target, 64);
	sigprocmask(SIG_UNBLOCK, &all, NULL);
	raise(SIGSEGV);
	sigaction(SIGSEGV, NULL, &now_set);
	return moved != 1 || first != 0 || second != 1 || now_set.sa_handler != is_second;
}
