/*
 * killed WHAT SECONDS: children are killed at any moment. WHAT: born (SIGSEGV was handled before, while there was another thread: what is
 * set is looked at in each child at its birth), submits (they do all the time). 0 if each child dies of it.
 */
#include "device.h"

static volatile int *ready;

static void handler(int number)
{
}

static void *waits(void *unused)
{
	for (;;)
		pause();
}

static void submits(void)
{
	static char source[64], target[64];
	void *portal = open_portal();

	for (;; *ready = 1)
		move(portal, source, target, 64);
}

int main(int count, char **words)
{
	int born = !strcmp(words[1], "born"), status;
	double end = now() + atof(words[2]);
	pthread_t thread;
	pid_t child;

	ready = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	open_portal();
	signal(SIGSEGV, handler);
	if (born) {
		pthread_create(&thread, NULL, waits, NULL);
		pthread_kill(pthread_self(), SIGSEGV);
	}
	while (now() < end) {
		*ready = born;
		child = fork();
		if (!child && !born)
			submits();
		if (!child)
			waits(NULL);
		while (!*ready)
			sched_yield();
		sleep_for(5e-4 * random() / RAND_MAX);
		kill(child, SIGKILL);
		if (waitpid(child, &status, 0) != child || status != SIGKILL)
			return 1;
	}
	return 0;
}
