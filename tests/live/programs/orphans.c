/*
 * orphans HOW ROUNDS: a thread forks all the time while its process ends. HOW: killed, exec (by another thread). The last child may never be told
 * of. Nevertheless it runs, has its parent's handlers, and submits by the instruction that its parent used. 0 if all children did.
 */
#include "device.h"

enum { FORKS = 40 };
static char source[64] = "x", target[64];
static volatile int *last; /* child of all in this round */

static int submits(void)
{
	void *portal = open_portal();

	for (int i = 0; i < 10; i++)
		if (move(portal, source, target, 64) != 1)
			return 1;
	return 0;
}

static void child(int number, pid_t father)
{
	struct sigaction action;

	for (int i = 0; i < 3000 && getppid() == father; i++)
		sleep_for(0.001);
	if (number != *last)
		_exit(0);
	_exit(sigaction(SIGILL, NULL, &action) || action.sa_handler != SIG_DFL ? 8 : submits());
}

static void *forks(void *unused)
{
	for (int i = 1; i < FORKS; i++) {
		pid_t father = getpid();

		*last = i;
		if (!fork())
			child(i, father);
	}
	sleep_for(5);
	return NULL;
}

static void ends(const char *how)
{
	pthread_t thread;

	if (submits() || pthread_create(&thread, NULL, forks, NULL))
		_exit(9);
	sleep_for(0.001 + some_moment(0.01));
	if (!strcmp(how, "exec"))
		execl("/bin/true", "true", NULL);
	kill(getpid(), SIGKILL);
}

/* Whether all children and orphans end well and in time. */
static int all_end(void)
{
	double end = now() + 10;
	int status, right = 1;

	for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) >= 0; sleep_for(0.001 * !pid)) {
		if (!pid && now() > end)
			return 0;
		right &= !pid || !status || status == SIGKILL;
	}
	return right;
}

int main(int count, char **words)
{
	last = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
	for (int round = 0; round < atoi(words[2]); round++) {
		if (!fork())
			ends(words[1]);
		if (!all_end())
			return 1;
	}
	return 0;
}
