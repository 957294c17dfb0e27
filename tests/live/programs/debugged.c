/* debugged WAY: what a debugger looks at. The fourth of six moves asks for a flag that a move does not have. */
#include "device.h"

static volatile int counter, turns;

__attribute__((noinline)) int submits(void *portal, int number)
{
	static struct record record;
	static char source[64], target[64];
	struct descriptor d = describe(MOVE, &record, source, target, 64);

	if (number == 3)
		d.operation_and_flags |= 0x80;
	record.status = 0;
	submit(portal, &d);
	return record.status;
}

__attribute__((noinline)) void turn(void)
{
	__sync_fetch_and_add(&turns, 1);
}

static void *counts(void *nothing)
{
	for (;;) {
		counter++;
		sleep_for(0.001);
	}
	return nothing;
}

static void *turns_often(void *nothing)
{
	for (int i = 0; i < 10; i++)
		turn();
	return nothing;
}

static void in_threads(void)
{
	pthread_t thread[4];

	for (int i = 0; i < 4; i++)
		pthread_create(&thread[i], NULL, turns_often, NULL);
	for (int i = 0; i < 4; i++)
		pthread_join(thread[i], NULL);
	printf("%d turns\n", turns);
}

int main(int count, char **words)
{
	pthread_t thread;
	void *portal;
	int status = 0;

	(void)count;
	if (!strcmp(words[1], "threads")) {
		in_threads();
		return 0;
	}
	if (!strcmp(words[1], "fork")) { /* the child has the parent's text */
		if (!fork()) {
			turn();
			_exit(5);
		}
		wait(&status);
		printf("child %d\n", WEXITSTATUS(status));
		return 0;
	}
	if (!strcmp(words[1], "signal")) {
		signal(SIGUSR1, SIG_IGN);
		raise(SIGUSR1);
		*(volatile int *)8 = 1;
	}
	pthread_create(&thread, NULL, counts, NULL);
	if (!strcmp(words[1], "waits"))
		pause();
	portal = open_portal();
	for (int i = 0; i < 6; i++)
		status = status * 4 + (submits(portal, i) & 3);
	printf("%d\n", status);
	return 7;
}
