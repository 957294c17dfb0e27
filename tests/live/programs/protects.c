/*
 * protects: the memory that replaced instructions work with is taken from the program and given back all the time (mprotect(2)).
 * 0 if nobody notices.
 */
#include "device.h"

static void *portal;
static volatile int over;

static void heard(int number, siginfo_t *info, void *context)
{
	printf("signal %d at %p\n", number, info->si_addr);
	fflush(stdout);
	_exit(2);
}

static void *moves(void *unused)
{
	char source[64] = "x", target[64];

	while (!over)
		if (move(portal, source, target, 64) != 1)
			_exit(3);
	return NULL;
}

int main(void)
{
	struct sigaction action = { .sa_sigaction = heard, .sa_flags = SA_SIGINFO };
	unsigned long start = 0, end = 0, found[2];
	pthread_t threads[2];
	char line[512];

	sigaction(SIGSEGV, &action, NULL);
	sigaction(SIGBUS, &action, NULL);
	portal = open_portal();
	for (int i = 0; i < 2; i++)
		pthread_create(&threads[i], NULL, moves, NULL);
	for (double until = now() + 5; !start && now() < until; sleep_for(0.01)) {
		FILE *maps = fopen("/proc/self/maps", "r");
		while (fgets(line, sizeof line, maps))
			if (sscanf(line, "%lx-%lx rw-s", &found[0], &found[1]) == 2 && strstr(line, "rw-s") && strstr(line, "memfd:pasidlab"))
				start = found[0], end = found[1];
		fclose(maps);
	}
	for (int i = 0; start && i < 150; i++) {
		mprotect((void *)start, end - start, i % 2 ? PROT_READ | PROT_WRITE : i % 4 ? PROT_NONE : PROT_READ);
		sleep_for(0.001);
	}
	mprotect((void *)start, end - start, PROT_READ | PROT_WRITE);
	over = 1;
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	return 0;
}
