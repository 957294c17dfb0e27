/* roots HOW: changes the mount namespace that it was started in, and goes on: unmounted (/proc), covered (/proc, by files that nobody
 * writes to) or pivoted (another root). It is to be started in a mount namespace apart: ends with 77 in that of the first process. */
#include "device.h"
#include <sys/mount.h>
#include <sys/stat.h>

static char source[1 << 21], target[1 << 21], new_root[] = "/tmp/pasidlab-test-XXXXXX";

static int is_apart(void)
{
	struct stat first, mine;

	return !stat("/proc/self/ns/mnt", &mine) && (stat("/proc/1/ns/mnt", &first) || first.st_ino != mine.st_ino);
}

static void cover(void)
{
	static const char *const names[] = { "maps", "mem", "pagemap", "smaps", "stat", "status" };
	char path[64];

	if (mount("none", "/proc", "tmpfs", 0, NULL))
		_exit(77);
	snprintf(path, sizeof(path), "/proc/%d", getpid());
	mkdir(path, 0755);
	for (int at = 0; at < 6; at++) {
		snprintf(path, sizeof(path), "/proc/%d/%s", getpid(), names[at]);
		mkfifo(path, 0600);
	}
}

static void pivot(void)
{
	char old[64];

	if (!mkdtemp(new_root) || mount("none", new_root, "tmpfs", 0, NULL))
		_exit(77);
	snprintf(old, sizeof(old), "%s/old", new_root);
	if (mkdir(old, 0755) || syscall(SYS_pivot_root, new_root, old))
		_exit(77);
	rmdir(strcat(strcpy(old, "/old"), new_root));
	if (chdir("/") || umount2("/old", MNT_DETACH))
		_exit(2);
}

int main(int count, char **words)
{
	void *portal = open_portal();
	struct record record = { 0 };
	struct descriptor wrong = describe(MOVE, &record, (void *)0x1000, target, 64);

	if (count < 2 || !is_apart())
		return 77;
	memset(source, 1, sizeof(source));
	mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL);
	if (!strcmp(words[1], "unmounted") && umount2("/proc", MNT_DETACH))
		return 77;
	if (!strcmp(words[1], "covered"))
		cover();
	if (!strcmp(words[1], "pivoted"))
		pivot();
	for (int at = 0; at < 20; at++)
		if (move(portal, source, target, 64) != 1)
			return 3;
	if (move(portal, source, target, sizeof(source)) != 1 || memcmp(source, target, sizeof(source)))
		return 4;
	submit(portal, &wrong);
	if (wait_for(&record, 5) <= 1)
		return 5;
	raise(SIGILL);
	return 6;
}
