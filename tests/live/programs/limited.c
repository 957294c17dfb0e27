/* limited GROUP: in a memory cgroup of 16 MiB, a new directory, in which who needs more waits (memory.oom_control), the device fills
 * 64 MiB. Says "waits"; ends with 77 where there can be no such group. */
#include "device.h"
#include <sys/stat.h>

static void set(const char *group, const char *name, const char *value)
{
	char path[256];
	int file;

	snprintf(path, sizeof(path), "%s/%s", group, name);
	file = open(path, O_WRONLY);
	if (file < 0 || write(file, value, strlen(value)) < 0)
		_exit(77);
	close(file);
}

int main(int count, char **words)
{
	size_t size = 64 << 20;
	void *portal = open_portal(), *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct record record = { 0 };
	struct descriptor fill = describe(FILL, &record, (void *)0x0101010101010101, memory, size);

	if (count < 2 || mkdir(words[1], 0755))
		return 77;
	set(words[1], "memory.limit_in_bytes", "16777216");
	set(words[1], "memory.oom_control", "1");
	set(words[1], "cgroup.procs", "0");
	puts("waits");
	fflush(stdout);
	submit(portal, &fill);
	return wait_for(&record, 30);
}
