/* threads COUNT: so many threads submit, and live until all have. */
#include "device.h"

static void *portal;
static pthread_barrier_t all;
static int right;

static void *submits(void *unused)
{
	char source[64] = "x", target[64] = "";

	if (move(portal, source, target, 64) == 1 && target[0] == 'x')
		__sync_fetch_and_add(&right, 1);
	pthread_barrier_wait(&all);
	return NULL;
}

int main(int count, char **words)
{
	int number = atoi(words[1]);
	pthread_t thread;
	pthread_attr_t small;

	portal = open_portal();
	pthread_attr_init(&small);
	pthread_attr_setstacksize(&small, 65536);
	pthread_barrier_init(&all, NULL, number + 1);
	for (int i = 0; i < number; i++)
		if (pthread_create(&thread, &small, submits, NULL))
			return 2;
	pthread_barrier_wait(&all);
	return right == number ? 0 : 1;
}
