/*
 * interrupts SECONDS: threads that wait in system calls are sent SIGILL and SIGSEGV, for which there are handlers, 4,000 times a second,
 * while others block both and submit.
 * 0 if the program lives, and the calls fail with EINTR and nothing else.
 */
#include "device.h"
#include <poll.h>

enum { WAITING = 3, SUBMITTING = 2 };
static volatile int ends, odd;
static void *portal;

static void note(int number)
{
}

static void *submits(void *unused)
{
	static __thread char source[64], target[64];
	sigset_t all;

	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, NULL);
	while (!ends)
		move(portal, source, target, 64);
	return NULL;
}

static void *waits(void *polls)
{
	struct timespec some = { 0, 50000000 };
	struct pollfd none = { .fd = -1 };

	while (!ends) {
		int failed = polls ? poll(&none, 1, 50) < 0 : nanosleep(&some, NULL);

		odd |= failed && errno != EINTR;
	}
	return NULL;
}

int main(int count, char **words)
{
	struct sigaction action = { .sa_handler = note };
	pthread_t threads[WAITING + SUBMITTING];
	double end = now() + atof(words[1]);

	portal = open_portal();
	sigaction(SIGILL, &action, NULL);
	sigaction(SIGSEGV, &action, NULL);
	for (long i = 0; i < WAITING + SUBMITTING; i++)
		pthread_create(&threads[i], NULL, i < WAITING ? waits : submits, (void *)(i & 1));
	for (int sent = 0; now() < end; sleep_for(0.0005))
		for (int i = 0; i < WAITING; i++, sent++)
			pthread_kill(threads[i], sent & 1 ? SIGSEGV : SIGILL);
	ends = 1;
	for (int i = 0; i < WAITING + SUBMITTING; i++)
		pthread_join(threads[i], NULL);
	return odd;
}
