/*
 * dispatch SIZE BLOCKED: a program that handles its system calls itself (PR_SET_SYSCALL_USER_DISPATCH) submits. It meets none
 * but its own, before and after. BLOCKED 1: all other signals are blocked.
 */
#include "device.h"
#include <ucontext.h>

enum { USER_DISPATCH = 59, ON = 1, NO_SUCH_CALL = 1234, ANSWER = 4242 };
static volatile char selector;
static volatile int seen;

static void answers(int number, siginfo_t *info, void *context)
{
	selector = 0;
	seen++;
	((ucontext_t *)context)->uc_mcontext.gregs[REG_RAX] = ANSWER;
}

static long dispatched(void)
{
	selector = 1;
	return syscall(NO_SUCH_CALL);
}

int main(int count, char **words)
{
	size_t size = atol(words[1]);
	void *portal = open_portal();
	char *source = malloc(size), *target = malloc(size);
	struct sigaction action = { .sa_sigaction = answers, .sa_flags = SA_SIGINFO };
	static struct record record;
	sigset_t most;

	memset(source, 1, size);
	sigaction(SIGSYS, &action, NULL);
	sigfillset(&most);
	sigdelset(&most, SIGSYS);
	if (atoi(words[2]))
		sigprocmask(SIG_BLOCK, &most, NULL);
	if (prctl(USER_DISPATCH, ON, 0, 0, &selector))
		return 77;
	struct descriptor descriptor = describe(MOVE, &record, source, target, size);
	selector = 1;
	submit(portal, &descriptor);
	if (dispatched() != ANSWER || dispatched() != ANSWER || seen != 2)
		return 1;
	return wait_for(&record, 20) != 1 || memcmp(source, target, size);
}
