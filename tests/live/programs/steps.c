/*
 * steps SIZE TIMES: a program that has the processor trap after each of its instructions (EFLAGS.TF) moves SIZE bytes.
 */
#include "device.h"

static volatile int traps;

static void count_trap(int number)
{
	traps++;
}

int main(int count, char **words)
{
	size_t size = atol(words[1]);
	void *portal = open_portal();
	char *source = malloc(size), *target = malloc(size);
	static struct record record;

	memset(source, 1, size);
	signal(SIGTRAP, count_trap);
	struct descriptor descriptor = describe(MOVE, &record, source, target, size);
	for (int i = 0; i < atoi(words[2]); i++) {
		int before = traps;

		record.status = 0;
		asm volatile("pushfq; orq $0x100, (%%rsp); popfq; nop; .byte 0xf2,0x0f,0x38,0xf8,0x02; nop; pushfq; andq $~0x100, (%%rsp); popfq"
			     : : "a"(portal), "d"(&descriptor) : "memory", "cc");
		if (wait_for(&record, 20) != 1 || traps < before + 4)
			return 1;
	}
	return memcmp(source, target, size) != 0;
}
