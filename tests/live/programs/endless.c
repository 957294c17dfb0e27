/* endless: a batch of 1024 compares of 2 GiB each; says when it has begun. */
#include "device.h"

int main(void)
{
	size_t size = 2ul << 30;
	char *place = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	static struct descriptor members[1024], batch;
	static struct record others[1024], record;

	for (int i = 0; i < 1024; i++)
		members[i] = describe(COMPARE, others + i, place, place, size - 4096);
	batch = describe(BATCH, &record, members, NULL, 1024);
	void *portal = open_portal();
	puts("submitting");
	fflush(stdout);
	submit(portal, &batch);
	return wait_for(&record, 1000) == 1 ? 0 : 1;
}
