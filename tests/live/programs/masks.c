/*
 * masks: of six threads that submit at the same time three block all signals, three all but those that submissions raise. No mask
 * changes. 0 if so.
 */
#include "device.h"

static void *portal;
static volatile int wrong;

static int blocks(void)
{
	sigset_t now;

	pthread_sigmask(SIG_SETMASK, NULL, &now);
	return sigismember(&now, SIGILL) + sigismember(&now, SIGSEGV) + sigismember(&now, SIGBUS);
}

static void *submits(void *number)
{
	static __thread char source[64], target[64];
	sigset_t all;
	int before;

	sigfillset(&all);
	if ((long)number % 2) {
		sigdelset(&all, SIGILL);
		sigdelset(&all, SIGSEGV);
		sigdelset(&all, SIGBUS);
	}
	pthread_sigmask(SIG_SETMASK, &all, NULL);
	before = blocks();
	for (int i = 0; i < 100; i++) {
		move(portal, source, target, 64);
		if (blocks() != before) {
			wrong++;
			pthread_sigmask(SIG_SETMASK, &all, NULL);
		}
	}
	return NULL;
}

int main(void)
{
	pthread_t threads[6];

	portal = open_portal();
	for (long i = 0; i < 6; i++)
		pthread_create(&threads[i], NULL, submits, (void *)i);
	for (int i = 0; i < 6; i++)
		pthread_join(threads[i], NULL);
	if (wrong)
		printf("%d wrong\n", wrong);
	return wrong > 0;
}
