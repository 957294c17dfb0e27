/*
 * late HOW: one thread submits moves to fixed addresses, another executes this program again (linked to the same addresses,
 * -static -no-pie) as "late landed". What lands there has come too late.
 */
#include "device.h"

static char image[1 << 20] __attribute__((aligned(4096)));
static char *low; /* below 4 GiB, for a 32-bit call */

static long call32(long number, uintptr_t first, uintptr_t second, uintptr_t third)
{
	long result;

	asm volatile("int $0x80" : "=a"(result) : "a"(number), "b"(first), "c"(second), "d"(third) : "memory", "r8", "r9", "r10", "r11");
	return result;
}

static void *executes(void *how)
{
	char *again[] = { "late", "landed", NULL };
	uint32_t *pointers = (uint32_t *)(low + 512);

	sleep_for(0.06 + some_moment(0.03));
	if (strcmp(how, "int80"))
		execv("/proc/self/exe", again);
	strcpy(low, "/proc/self/exe");
	strcpy(low + 64, "late");
	strcpy(low + 128, "landed");
	pointers[0] = (uintptr_t)low + 64;
	pointers[1] = (uintptr_t)low + 128;
	call32(11, (uintptr_t)low, (uintptr_t)pointers, (uintptr_t)(pointers + 2));
	_exit(93);
}

static void *submits(void *portal)
{
	static char source[64];
	struct descriptor descriptor;

	memset(source, '!', 64);
	for (unsigned i = 0;; i++) {
		descriptor = describe(MOVE, (struct record *)(image + 0x8000 + 32 * (i % 1024)), source, image + 0x10000 + 64 * (i % 4096), 64);
		enqcmd(portal, &descriptor);
	}
	return NULL;
}

static int landed(void)
{
	int bytes = 0;

	sleep_for(0.05);
	for (size_t i = 0; i < sizeof image; i++)
		bytes += image[i] != 0;
	printf("%d bytes\n", bytes);
	return bytes ? 1 : 0;
}

int main(int count, char **words)
{
	pthread_t thread;

	if (!strcmp(words[1], "landed"))
		return landed();
	low = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	if (!strcmp(words[1], "leader")) {
		pthread_create(&thread, NULL, submits, open_portal());
		executes(words[1]);
	}
	pthread_create(&thread, NULL, executes, words[1]);
	submits(open_portal());
}
