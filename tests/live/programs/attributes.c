/* attributes FILE: tries to map a file of sysfs in every way, then has the device read what a mapping would have been. */
#include "device.h"

int main(int count, char **words)
{
	int file = open(words[1], O_RDONLY), queue = open_queue();
	static struct record record;
	static char target[64];
	int sharing[] = { MAP_PRIVATE, MAP_SHARED }, access[] = { PROT_READ, PROT_READ | PROT_WRITE, PROT_NONE };
	char *place = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	for (int i = 0; i < 6; i++) {
		int flags = sharing[i % 2] | (i > 2 ? MAP_FIXED : 0), error;

		errno = 0;
		error = mmap(i > 2 ? place : NULL, 4096, access[i % 3], flags, file, 0) == MAP_FAILED ? errno : 0;
		if (error != ENODEV && !(error == EACCES && flags & MAP_SHARED && access[i % 3] & PROT_WRITE))
			return printf("way %d: error %d\n", i, error), 1;
	}
	struct descriptor descriptor = describe(MOVE, &record, place, target, 64);
	if (write(queue, &descriptor, 64) != 64 || wait_for(&record, 20) != 1)
		return printf("status %#x\n", record.status), 2;
	return 0;
}
