/*
 * writers: threads write(2) descriptors to the device while others open and map it. All come to an end.
 */
#include "device.h"

static volatile int over;
static char source[64], target[64];

static void *writes(void *unused)
{
	struct record record = { 0 };
	struct descriptor descriptors[16];
	int file = open_queue();

	for (int i = 0; i < 16; i++)
		descriptors[i] = describe(MOVE, &record, source, target, 64);
	while (!over)
		if (write(file, descriptors, sizeof descriptors) < 64 && errno != EAGAIN)
			_exit(1);
	return NULL;
}

static void *maps(void *unused)
{
	while (!over) {
		int file = open_queue();

		munmap(map_portal(file), 4096);
		close(file);
	}
	return NULL;
}

int main(void)
{
	pthread_t threads[4];

	for (int i = 0; i < 4; i++)
		pthread_create(&threads[i], NULL, i % 2 ? writes : maps, NULL);
	sleep_for(0.5);
	over = 1;
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	return 0;
}
