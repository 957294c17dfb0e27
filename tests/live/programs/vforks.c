/* vforks: children by vfork(2), which have the memory too, submit and end while threads move. 0 if every descriptor completes. */
#include "device.h"

static void *portal;
static volatile int over;

static void *moves(void *bytes)
{
	size_t size = (size_t)bytes;
	char *source = malloc(size), *target = malloc(size);

	memset(source, 1, size);
	memset(target, 2, size);
	while (!over) {
		int status = move(portal, source, target, size);
		if (status != 1) {
			printf("%zu bytes: status %d\n", size, status);
			fflush(stdout);
			_exit(1);
		}
	}
	return NULL;
}

static void *forks(void *kind)
{
	for (double end = now() + 1; now() < end;) {
		int status;
		pid_t child = vfork();

		if (!child) {
			struct record record = { 0 };
			struct descriptor descriptor = describe(NOOP, &record, NULL, NULL, 0);
			if (kind)
				execl("/bin/true", "true", (char *)NULL);
			submit(portal, &descriptor);
			_exit(0);
		}
		while (waitpid(child, &status, 0) < 0)
			;
		if (status)
			_exit(2);
	}
	return NULL;
}

int main(void)
{
	pthread_t movers[2], forkers[4];

	portal = open_portal();
	for (long i = 0; i < 2; i++)
		pthread_create(&movers[i], NULL, moves, (void *)(i ? 1l << 20 : 64l));
	for (long i = 0; i < 4; i++)
		pthread_create(&forkers[i], NULL, forks, i == 3 ? portal : NULL);
	for (int i = 0; i < 4; i++)
		pthread_join(forkers[i], NULL);
	over = 1;
	for (int i = 0; i < 2; i++)
		pthread_join(movers[i], NULL);
	return 0;
}
