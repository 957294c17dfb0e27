/*
 * large rejected|written SIZE: three descriptors of an operation that the device does not have; prints their statuses, and whether an interval timer
 * was heard. large moves: one move of 2 MiB; prints its status, whether the bytes are there, and how many SIGTRAP were heard.
 * Another thread counts meanwhile.
 */
#include "device.h"
#include <sys/time.h>

static volatile int heard, count;
static struct record record;
static char source[1 << 21], target[1 << 21];

static void hears(int number)
{
	heard++;
}

static void *counts(void *nothing)
{
	sigset_t all;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, NULL);
	for (;;) {
		count++;
		sleep_for(0.001);
	}
	return nothing;
}

int main(int words, char **word)
{
	struct itimerval often = { { 0, 10000 }, { 0, 10000 } };
	struct descriptor d;
	int file = open_queue();
	void *portal = map_portal(file);
	pthread_t thread;

	pthread_create(&thread, NULL, counts, NULL);
	if (!strcmp(word[1], "moves")) {
		memset(source, 7, sizeof source);
		memset(target, 1, sizeof target);
		signal(SIGTRAP, hears);
		d = describe(MOVE, &record, source, target, sizeof source);
		raise(SIGUSR1);
		submit(portal, &d);
		printf("%d %d %d\n", wait_for(&record, 20), memcmp(source, target, sizeof source), heard);
		return 0;
	}
	signal(SIGALRM, hears);
	setitimer(ITIMER_REAL, &often, NULL);
	for (int i = 0; i < 3; i++) {
		record.status = 0;
		d = describe(0x49, &record, NULL, NULL, atoi(word[2]));
		if (word[1][0] == 'r')
			submit(portal, &d);
		else
			while (write(file, &d, sizeof d) != sizeof d)
				;
		printf("%x ", wait_for(&record, 20));
	}
	while (!heard)
		sleep_for(0.001);
	puts("heard");
	return 0;
}
