/* empties HOW: what a replaced instruction leads to is emptied, or not for children. 0 if submissions go on, and nothing else is written. */
#include "device.h"

static char source[64] = "x", target[64], bystander[4096];
static struct record record;

static int submits(void *portal, struct descriptor *descriptor)
{
	uint8_t retry;

	do /* RAX is what instructions of zeros, add %al,(%rax), would write to */
		asm volatile(".byte 0xf2,0x0f,0x38,0xf8,0x0a; setz %0"
			     : "=r"(retry) : "c"(portal), "d"(descriptor), "a"(bystander + 1) : "memory", "cc");
	while (retry);
	return wait_for(&record, 20);
}

static int moves(void *portal)
{
	for (int i = 0; i < 50; i++) {
		struct descriptor descriptor = describe(MOVE, &record, source, target, 64);

		record.status = target[0] = 0;
		if (submits(portal, &descriptor) != 1 || target[0] != 'x')
			return 0;
	}
	for (size_t i = 0; i < sizeof bystander; i++)
		if (bystander[i])
			return 0;
	return 1;
}

static void advise(int advice)
{
	FILE *maps = fopen("/proc/self/maps", "r");
	char line[512], permissions[8];
	unsigned long start, end;

	while (fgets(line, sizeof line, maps))
		if (sscanf(line, "%lx-%lx %4s", &start, &end, permissions) == 3 && !strcmp(permissions, "r-xp") && end - start == 65536)
			madvise((void *)start, end - start, advice);
	fclose(maps);
}

int main(int count, char **words)
{
	int advice = !strcmp(words[1], "now") ? MADV_DONTNEED : !strcmp(words[1], "wiped") ? MADV_WIPEONFORK : MADV_DONTFORK, status = 0;
	void *portal = open_portal();

	if (!moves(portal))
		return 1;
	advise(advice);
	if (advice != MADV_DONTNEED && !fork())
		return !moves(open_portal());
	if (advice != MADV_DONTNEED)
		wait(&status);
	return !moves(portal) << 1 | !!status;
}
