/*
 * withdraws protects|shortens SIZE: moves and fills of SIZE bytes while another thread takes their target away and gives it back all the
 * time (mprotect(2), or ftruncate(2) of its file). Each one is done, or says that it met a page fault; no signal comes. 0 if so.
 */
#include "device.h"

static char *target;
static size_t size;
static int file = -1;
static volatile int over;

static void *withdraws(void *unused)
{
	for (int back = 0; !over; back = !back) {
		if (file < 0 ? mprotect(target, size, back ? PROT_READ | PROT_WRITE : PROT_NONE) : ftruncate(file, back ? size : 0))
			_exit(80);
		sleep_for(0.0002);
	}
	return NULL;
}

int main(int count, char **words)
{
	void *portal = open_portal();
	double end = now() + 1;
	pthread_t thread;
	char *source;

	size = atol(words[2]);
	if (!strcmp(words[1], "shortens")) {
		file = memfd_create("target", 0);
		if (ftruncate(file, size))
			return 81;
	}
	source = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	target = mmap(NULL, size, PROT_READ | PROT_WRITE, file < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED, file, 0);
	memset(source, 1, size);
	pthread_create(&thread, NULL, withdraws, NULL);
	for (int i = 0; i < 12 || now() < end; i++) {
		struct record record = { 0 };
		struct descriptor descriptor = describe(i & 1 ? FILL : MOVE, &record, source, target, size);

		if (i & 1)
			descriptor.source = 0x0101010101010101;
		submit(portal, &descriptor);
		int status = wait_for(&record, 20);
		if (status != 1 && status != 0x83 && status != 0x84) {
			printf("status %#x\n", status);
			return 1;
		}
	}
	over = 1;
	pthread_join(thread, NULL);
	return 0;
}
