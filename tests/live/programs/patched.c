/*
 * patched DIR ROUNDS: while pasidlab replaces an instruction of code in DIR, another thread maps memory of the program's there. Nothing is
 * written to that, but for what lies within microseconds. 0 if at most one page in 20 was.
 */
#include "device.h"

static struct record *volatile last;
static char *volatile page;
static volatile int round_of, mapped;

static void *maps(void *unused)
{
	for (int seen = 0;;) {
		while (round_of == seen)
			;
		seen = round_of;
		while (!last->status)
			;
		for (double end = now() + seen % 100 * 3e-5; now() < end;)
			;
		memset(mmap(page, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0), 0x55, 4096);
		mapped = seen;
	}
	return NULL;
}

/* Submits by the instruction that ends with the page, as often as it takes to be replaced. */
static void submits(void *portal, int round)
{
	static char source[64], target[64];

	for (int i = 1; i <= 8; i++) {
		struct record record = { 0 };
		struct descriptor descriptor = describe(MOVE, &record, source, target, 64);

		if (i == 8) {
			last = &record;
			round_of = round;
		}
		asm volatile("call *%2" : : "a"(portal), "S"(&descriptor), "r"(page + 4096 - 5) : "memory", "cc");
		wait_for(&record, 20);
	}
	while (mapped != round)
		;
}

int main(int count, char **words)
{
	static const uint8_t code[] = { 0xf2, 0x0f, 0x38, 0xf8, 0x06, 0xc3 }; /* enqcmd (%rsi),%rax; ret */
	int rounds = atoi(words[2]), wrong = 0, file;
	void *portal = open_portal();
	pthread_t thread;
	char path[4096];

	snprintf(path, sizeof path, "%s/patched-%d", words[1], getpid());
	file = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0700);
	if (file < 0 || ftruncate(file, 8192) || pwrite(file, code, sizeof code, 4096 - 5) != sizeof code)
		return 2;
	close(file);
	file = open(path, O_RDONLY | O_CLOEXEC);
	pthread_create(&thread, NULL, maps, NULL);
	for (int round = 1; round <= rounds; round++) {
		page = mmap(NULL, 8192, PROT_READ | PROT_EXEC, MAP_PRIVATE, file, 0);
		if (page == MAP_FAILED)
			return 77;
		submits(portal, round);
		for (int i = 0; i < 4096; i++)
			if (page[i] != 0x55) {
				wrong++;
				break;
			}
	}
	unlink(path);
	_exit(wrong * 20 > rounds);
}
