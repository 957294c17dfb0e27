/*
 * jail DIRECTORY: changes the root to a directory in which the path of this program is a FIFO, and does what a report of
 * pasidlab would look up a symbol for. Nobody may wait for the FIFO.
 */
#include "device.h"
#include <libgen.h>
#include <sys/stat.h>

static void make_parents(char *path)
{
	for (char *at = path + 1; (at = strchr(at, '/')); at++) {
		*at = 0;
		mkdir(path, 0700);
		*at = '/';
	}
}

int main(int count, char **words)
{
	char own[512] = "", inside[1200];
	void *portal = open_portal();
	struct descriptor unknown = describe(0x77, NULL, NULL, NULL, 0);
	char source[64] = "x", target[64] = "";

	if (readlink("/proc/self/exe", own, sizeof own - 1) < 0)
		return 2;
	snprintf(inside, sizeof inside, "%s%s", words[1], own);
	make_parents(inside);
	if (mkfifo(inside, 0600) && errno != EEXIST)
		return 3;
	if (chroot(words[1]))
		return 77; /* not permitted here */
	submit(portal, &unknown);
	return move(portal, source, target, 64) == 1 ? 0 : 1;
}
