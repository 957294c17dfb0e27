/*
 * stops SIZE BLOCKED ROUNDS: a child of four threads moves SIZE bytes again and again, with all signals blocked where BLOCKED
 * is 1. Its parent stops it, and is told by wait(2) when that has happened: from then to SIGCONT no thread may go on.
 * Prints the longest time from SIGSTOP until the parent was told, in milliseconds.
 */
#include "device.h"

enum { THREADS = 4 };
static volatile long *moved;
static size_t size;

static void *moves(void *number)
{
	char *source = malloc(size), *target = malloc(size);

	memset(source, 1, size);
	for (void *portal = open_portal(); move(portal, source, target, size) == 1;)
		moved[(long)number]++;
	_exit(92);
}

static void child(int blocked)
{
	sigset_t all;
	pthread_t thread;

	sigfillset(&all);
	if (blocked)
		sigprocmask(SIG_BLOCK, &all, NULL);
	for (long i = 0; i < THREADS; i++)
		pthread_create(&thread, NULL, moves, (void *)i);
	for (;;)
		pause();
}

static long total(void)
{
	return moved[0] + moved[1] + moved[2] + moved[3];
}

/* 0, or what was wrong in a round. */
static int one_round(pid_t pid, double *longest)
{
	double began = now();
	int status;
	long before;

	kill(pid, SIGSTOP);
	if (waitpid(pid, &status, WUNTRACED) != pid || !WIFSTOPPED(status))
		return 2;
	if (now() - began > *longest)
		*longest = now() - began;
	before = total();
	sleep_for(0.03);
	if (total() != before)
		return 3;
	kill(pid, SIGCONT);
	if (waitpid(pid, &status, WCONTINUED) != pid || !WIFCONTINUED(status))
		return 4;
	for (began = now(); total() == before;) {
		if (now() - began > 15)
			return 5;
		sleep_for(0.001);
	}
	return 0;
}

int main(int count, char **words)
{
	int wrong = 0, status;
	double longest = 0;
	pid_t pid;

	size = atol(words[1]);
	moved = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid = fork();
	if (!pid)
		child(atoi(words[2]));
	while (total() < 8)
		sleep_for(0.005);
	for (int i = 0; i < atoi(words[3]) && !wrong; i++)
		wrong = one_round(pid, &longest);
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	printf("stopped within %.0f ms\n", longest * 1e3);
	return wrong;
}
