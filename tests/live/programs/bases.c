/*
 * bases: submissions while the bases of FS and GS lie where ptrace(2) may not set them: WRFSBASE and WRGSBASE may. 0 if they are
 * carried out, and the bases stay.
 */
#include "device.h"
#include <sys/auxv.h>

static char source[64] = "x", target[64];

/* A move, with these bases while it is submitted; whether they were still there afterwards. */
static int moves(void *portal, uint64_t fs, uint64_t gs)
{
	static struct record record;
	struct descriptor descriptor = describe(MOVE, &record, source, target, 64);
	uint64_t before, fs_after, gs_after;

	memset(&record, 0, sizeof record);
	asm volatile("rdfsbase %0; wrfsbase %3; wrgsbase %4; 1: .byte 0xf2,0x0f,0x38,0xf8,0x02; jz 1b\n\t"
		     "rdfsbase %1; rdgsbase %2; wrfsbase %0"
		     : "=&r"(before), "=&r"(fs_after), "=&r"(gs_after)
		     : "r"(fs), "r"(gs), "a"(portal), "d"(&descriptor) : "memory", "cc");
	return wait_for(&record, 20) == 1 && fs_after == fs && (gs == 0 || gs_after == gs);
}

int main(void)
{
	static const uint64_t bases[] = { 0, 1, 0x7fffffffe000, 0x7ffffffff000, 0xffff800000000000, -1 };
	void *portal;

	if (!(getauxval(AT_HWCAP2) & 2)) /* HWCAP2_FSGSBASE */
		return 77;
	portal = open_portal();
	for (int round = 0; round < 20; round++)
		for (int i = 0; i < 36; i++)
			if (!moves(portal, bases[i % 6], bases[i / 6]))
				return 1;
	return 0;
}
