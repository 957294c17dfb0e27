/*
 * heirs HOW ROUNDS: a thread makes processes all the time that share its memory (CLONE_VM) while its own ends. HOW: killed, exec (by another
 * thread), apart (two such makers share the memory, each with handlers of its own, and one is killed), copied (so do they, but their
 * children have copies). The last child may never be told of. Nevertheless it goes on in its memory, has its maker's handlers, and submits
 * through the portal that is there, or one of its own. 0 if all children did.
 */
#include "device.h"

enum { CHILDREN = 40, STACK = 1 << 16 };
struct maker {
	int number;
	void (*handler)(int);
	pid_t pid;
};

static char stacks[2][CHILDREN][STACK] __attribute__((aligned(16))), first_stack[STACK] __attribute__((aligned(16)));
static void *portal;
static int copied;
static volatile int *last; /* child of all in this round, of each maker; then whom to kill */

static void one(int number)
{
}

static void other(int number)
{
}

static struct maker makers[2] = { { 0, one }, { 1, other } };

static void *handler_of(int number)
{
	struct { void *handler; unsigned long flags; void *restorer; uint64_t mask; } action = { 0 };

	return syscall(SYS_rt_sigaction, number, NULL, &action, 8) ? NULL : action.handler;
}

static int submits(void)
{
	char source[64] = "x", target[64];

	for (int i = 0; i < 12; i++)
		if (move(portal, source, target, 64) != 1)
			return 1;
	return 0;
}

struct order {
	struct maker *maker;
	int number;
};
static struct order orders[2][CHILDREN];

static int child(void *argument)
{
	struct order *order = argument;
	int makes = order->maker->number;

	for (int i = 0; i < 3000 && getppid() == order->maker->pid; i++)
		sleep_for(0.001);
	if (order->number != last[makes])
		_exit(0);
	if (handler_of(SIGILL) != order->maker->handler || handler_of(SIGSEGV) != SIG_DFL || handler_of(SIGBUS) != SIG_IGN)
		_exit(8);
	if (copied)
		portal = open_portal();
	_exit(submits());
}

static void *makes(void *argument)
{
	struct maker *maker = argument;
	struct order *order = orders[maker->number];

	for (int i = 1; i < CHILDREN; i++) {
		order[i] = (struct order){ maker, i };
		last[maker->number] = i;
		clone(child, stacks[maker->number][i] + STACK, (copied ? 0 : CLONE_VM) | SIGCHLD, &order[i]);
	}
	sleep_for(5);
	return NULL;
}

static void begins(struct maker *maker)
{
	maker->pid = syscall(SYS_getpid);
	signal(SIGILL, maker->handler);
	signal(SIGBUS, SIG_IGN);
}

/* Makes children in its only thread until it is killed. */
static int second(void *unused)
{
	begins(&makers[1]);
	makes(&makers[1]);
	_exit(0);
}

static void ends(const char *how, int round)
{
	int apart = !strcmp(how, "apart") || !strcmp(how, "copied");
	pthread_t thread;
	pid_t pid;

	copied = !strcmp(how, "copied");
	portal = open_portal();
	begins(&makers[0]);
	if (submits())
		_exit(9);
	pid = apart ? clone(second, first_stack + STACK, CLONE_VM | SIGCHLD, NULL) : 0;
	if (pthread_create(&thread, NULL, makes, &makers[0]))
		_exit(9);
	sleep_for(0.001 + some_moment(0.01));
	if (!strcmp(how, "exec"))
		execl("/bin/true", "true", NULL);
	if (apart && round % 2) {
		kill(pid, SIGKILL);
		sleep_for(0.02);
	} else if (apart) {
		last[2] = pid;
	}
	kill(syscall(SYS_getpid), SIGKILL);
}

/* Whether all end well and in time. */
static int all_end(void)
{
	double end = now() + 10;
	int status, right = 1;

	for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) >= 0; sleep_for(0.001 * !pid)) {
		if (!pid && now() > end)
			return 0;
		if (last[2]) {
			sleep_for(0.02);
			kill(last[2], SIGKILL);
			last[2] = 0;
		}
		right &= !pid || !status || status == SIGKILL;
	}
	return right;
}

int main(int count, char **words)
{
	last = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
	for (int round = 0; round < atoi(words[2]); round++) {
		last[2] = 0;
		if (!fork())
			ends(words[1], round);
		if (!all_end())
			return 1;
	}
	return 0;
}
