/*
 * beyond: a file in memory is cut while a descriptor, its source, its target and its record lie in it. ENQCMD raises SIGBUS, the
 * device has page faults, and the next submission is as the one before.
 */
#include "device.h"
#include <setjmp.h>

enum { SIZE = 1 << 20 };
static sigjmp_buf over;
static volatile int raised, code;
static void *volatile address;

static void faulted(int number, siginfo_t *info, void *unused)
{
	raised = number, code = info->si_code, address = info->si_addr;
	siglongjmp(over, 1);
}

int main(void)
{
	struct sigaction action = { .sa_sigaction = faulted, .sa_flags = SA_SIGINFO };
	char *portal = open_portal(), *here = malloc(SIZE);

	sigaction(SIGBUS, &action, NULL);
	sigaction(SIGSEGV, &action, NULL);
	for (int round = 0; round < 12; round++) {
		int file = memfd_create("beyond", 0);
		ftruncate(file, SIZE);
		char *there = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
		struct descriptor *descriptor = (void *)(there + 4096);
		struct record *record = (void *)(there + 8192);

		*descriptor = describe(MOVE, record, there, here, 64);
		submit(portal, descriptor);
		if (wait_for(record, 20) != 1)
			return 1;
		ftruncate(file, 4096);
		if (!sigsetjmp(over, 1)) {
			submit(portal, descriptor);
			return 2;
		}
		if (raised != SIGBUS || code != BUS_ADRERR || address != descriptor)
			return 3;
		struct descriptor unheard = describe(MOVE, record, here, here + 4096, 64);
		submit(portal, &unheard);
		for (size_t size = 64; size < SIZE; size <<= 12)
			if ((move(portal, there + 8192, here, size) & 0x7f) < 3 || (move(portal, here, there + 8192, size) & 0x7f) < 3)
				return 4;
		if (move(portal, there, here, 64) != 1 || move(portal, here, here + 4096, 64) != 1)
			return 5;
		munmap(there, SIZE);
		close(file);
	}
	return 0;
}
