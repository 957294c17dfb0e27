/*
 * narrow: the same bytes submit in 64-bit mode and, by a far call, in compatibility mode, where a displacement alone is the address, and
 * the bytes of REX are instructions (SDM volume 2, 2.2.1). 0 if each mode has its own descriptor; 77 if no portal lies below 4 GiB.
 */
#include "device.h"

enum { ROUNDS = 12 };
struct far { unsigned offset; unsigned short selector; } __attribute__((packed));

static char *const place = (char *)0x20000000;

/* ENQCMD with a displacement alone, whose base is RIP in 64-bit mode; then a far return of 32 bits. */
static const unsigned char code[] = { 0xf2, 0x0f, 0x38, 0xf8, 0x05, 0, 0, 0, 0, 0xcb };

/* The far call, with its target at RCX, from below 4 GiB: what is pushed has 32 bits. */
static const unsigned char caller[] = { 0xff, 0x19, 0xc3 };

static void call(void *portal, unsigned short selector, const void *descriptor)
{
	struct far *target = (void *)(place + 0x6000);
	unsigned address = (unsigned)(long)descriptor;

	if (selector == 0x33)
		address -= (unsigned)(long)place + 9;
	memcpy(place, code, sizeof code);
	memcpy(place + 5, &address, 4);
	memcpy(place + 0x100, caller, sizeof caller);
	*target = (struct far){ (unsigned)(long)place, selector };
	asm volatile("mov %%rsp, %%r15; mov %2, %%rsp; call *%3; mov %%r15, %%rsp"
		     : : "a"(portal), "c"(target), "r"(place + 0xf000), "r"(place + 0x100) : "r15", "memory", "cc");
}

int main(void)
{
	void *portal = mmap(NULL, 4096, PROT_WRITE, MAP_SHARED | MAP_32BIT, open_queue(), 0);
	struct descriptor *descriptor = (void *)(place + 0x2000);
	struct record *record = (void *)(place + 0x3000);
	char *source = place + 0x4000, *target = place + 0x5000;

	if ((unsigned long)portal >> 32)
		return 77;
	mmap(place, 1 << 16, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	for (int round = 0; round < ROUNDS; round++) {
		record->status = target[0] = 0;
		source[0] = round + 1;
		*descriptor = describe(MOVE, record, source, target, 64);
		call(portal, round % 2 ? 0x23 : 0x33, descriptor);
		for (double end = now() + 5; !record->status && now() < end;)
			;
		if (record->status != 1 || target[0] != round + 1)
			return 1 + round % 2;
	}
	return 0;
}
