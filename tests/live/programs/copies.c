/*
 * copies: a function that has submitted often is copied elsewhere, as a compiler at run time moves its code, and the copies submit: in memory
 * that can be written, in memory that only can be executed, and one that was copied by a child. 0 if every descriptor completes.
 */
#include "device.h"

typedef uint8_t (*submission)(void *portal, const struct descriptor *descriptor);
static char source[64], target[64];
static void *portal;

/* At least 64 bytes of the file are there after it. */
__attribute__((noinline, aligned(64))) static uint8_t submits(void *portal, const struct descriptor *descriptor)
{
	uint8_t retry;

	asm volatile(".byte 0xf2,0x48,0x0f,0x38,0xf8,0x06; setz %0" : "=a"(retry) : "a"(portal), "S"(descriptor) : "memory", "cc");
	return retry;
}

static int moves(submission by, int times)
{
	static int mark;

	for (int i = 0; i < times; i++) {
		struct record record = { 0 };
		struct descriptor descriptor = describe(MOVE, &record, source, target, 64);

		memset(source, ++mark, 64);
		while (by(portal, &descriptor))
			;
		if (wait_for(&record, 5) != 1 || memcmp(source, target, 64))
			return 0;
	}
	return 1;
}

static submission copy(size_t room, int protection)
{
	char *place = mmap(NULL, room, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	memcpy(place + room / 2, submits, 64);
	mprotect(place, room, protection);
	return (submission)(place + room / 2);
}

int main(void)
{
	int status;

	portal = open_portal();
	if (!moves(submits, 30))
		return 1;
	for (int i = 0; i < 5; i++)
		if (!moves(copy(4096 << i, PROT_READ | PROT_WRITE | PROT_EXEC), 30))
			return 2;
	submission kept = copy(4096, PROT_READ | PROT_EXEC);
	if (!moves(kept, 30) || !moves(submits, 30))
		return 3;
	if (!fork()) {
		portal = open_portal();
		_exit(!moves(copy(8192, PROT_EXEC), 30));
	}
	wait(&status);
	return status ? 5 : 0;
}
