/* A process that SIGKILL does not end: the cgroup freezer, version 1, holds a child that works for the device, or ("first") its maker.
   The second argument is the directory of a cgroup that is not frozen yet. */
#include "device.h"
#include <string.h>

static void put(const char *place, const char *name, const char *text)
{
	char path[512];
	FILE *file;

	snprintf(path, sizeof path, "%s/%s", place, name);
	file = fopen(path, "w");
	fputs(text, file);
	fclose(file);
}

int main(int count, char **words)
{
	static char source[64], target[64];
	int child = fork();
	char number[32];

	if (!child) {
		void *portal = open_portal();
		if (!strcmp(words[1], "first")) {
			usleep(100000);
			snprintf(number, sizeof number, "%d", getppid());
			put(words[2], "cgroup.procs", number);
			put(words[2], "freezer.state", "FROZEN");
			printf("%d\n", getppid());
			fflush(stdout);
		}
		for (;;)
			move(portal, source, target, 64);
	}
	if (!strcmp(words[1], "child")) {
		usleep(100000);
		snprintf(number, sizeof number, "%d", child);
		put(words[2], "cgroup.procs", number);
		put(words[2], "freezer.state", "FROZEN");
		printf("%d\n", child);
		fflush(stdout);
	}
	for (;;)
		pause();
}
