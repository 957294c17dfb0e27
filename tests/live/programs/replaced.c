/*
 * replaced: the program puts code of its own where pasidlab's lies, and a timer's signals come while it runs. They are handled, and nothing that
 * was submitted before is submitted again. 0 if so.
 */
#include "device.h"
#include <sys/time.h>

static volatile int heard;
static struct record record;
static char source[64] = "x", target[64];

static void note(int number)
{
	heard++;
}

/* Where the code is, NULL if there is none. */
static char *code_of_others(size_t *size)
{
	static char line[4096];
	unsigned long start, end;
	char permissions[8];

	for (FILE *maps = fopen("/proc/self/maps", "r"); fgets(line, sizeof line, maps);) {
		if (sscanf(line, "%lx-%lx %7s", &start, &end, permissions) < 3 || permissions[2] != 'x' || !strstr(line, "/memfd:pasidlab"))
			continue;
		*size = end - start;
		return (char *)start;
	}
	return NULL;
}

int main(void)
{
	static const uint8_t counts[] = { 0xf3, 0x90, 0x48, 0xff, 0xcf, 0x75, 0xf9, 0xc3 }; /* 1: pause; dec %rdi; jnz 1b; ret */
	struct itimerval often = { { 0, 1000 }, { 0, 1000 } };
	struct descriptor descriptor = describe(MOVE, &record, source, target, 64);
	void *portal = open_portal();
	size_t size;
	char *place;

	for (int i = 0; i < 20; i++) {
		record.status = 0;
		submit(portal, &descriptor);
		if (wait_for(&record, 20) != 1)
			return 1;
	}
	if (!(place = code_of_others(&size)))
		return 77;
	record.status = 0;
	munmap(place, size);
	place = mmap(place, size, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	memcpy(place + 64, counts, sizeof counts);
	signal(SIGALRM, note);
	setitimer(ITIMER_REAL, &often, NULL);
	((void (*)(long))(place + 64))(2000000);
	return record.status || !heard;
}
