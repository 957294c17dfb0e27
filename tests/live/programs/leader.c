/* leader SIZE: the leader submits, and ends before its descriptor completes; its thread waits. 0 if the device finds all pages. */
#include "device.h"

static pthread_t leader;
static struct record record;

static void *waits(void *unused)
{
	pthread_join(leader, NULL);
	int status = wait_for(&record, 20);
	printf("status %#x\n", status);
	fflush(stdout);
	_exit(status != 1);
}

int main(int count, char **words)
{
	size_t size = atol(words[1]);
	char *source = malloc(size), *target = malloc(size);
	struct descriptor descriptor = describe(MOVE, &record, source, target, size);
	void *portal = open_portal();
	pthread_t thread;

	memset(source, 1, size);
	memset(target, 2, size);
	descriptor.operation_and_flags &= ~BLOCK_ON_FAULT;
	leader = pthread_self();
	pthread_create(&thread, NULL, waits, NULL);
	sleep_for(0.01);
	submit(portal, &descriptor);
	syscall(SYS_exit, 0);
}
