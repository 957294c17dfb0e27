/*
 * takes: a thread unmaps, again and again, the place where pasidlab is about to put code of its own. Moves go on.
 */
#include "device.h"

static char *const place = (char *)0x7ED500001000; /* WINDOW + PAGE */
static volatile int over;

static void *unmaps(void *unused)
{
	while (!over)
		munmap(place, 4096);
	return NULL;
}

int main(void)
{
	enum { SIZE = 1 << 20 };
	void *portal = open_portal();
	char *source = malloc(SIZE), *target = malloc(SIZE);
	pthread_t thread;

	memset(source, 1, SIZE);
	pthread_create(&thread, NULL, unmaps, NULL);
	for (int i = 0; i < 40; i++)
		if (move(portal, source, target, SIZE) != 1)
			return 1;
	over = 1;
	pthread_join(thread, NULL);
	return memcmp(source, target, SIZE) != 0;
}
