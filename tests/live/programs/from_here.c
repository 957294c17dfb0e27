/*
 * from_here: device files and attributes opened from a directory, the current one or that of a descriptor; by openat2(2) too, which may
 * not leave it. The device works through each, and a file that is opened
 * in another way is none, or works. 0 if so.
 */
#include "device.h"
#include <linux/openat2.h>

static int serves(int file)
{
	static char source[64] = "here", target[64];
	struct record record = { 0 };
	struct descriptor descriptor = describe(MOVE, &record, source, target, 64);
	void *portal;

	if (file < 0 || write(file, &descriptor, sizeof descriptor) != sizeof descriptor || wait_for(&record, 5) != 1)
		return 0;
	portal = mmap(NULL, 4096, PROT_WRITE, MAP_SHARED, file, 0);
	return portal != MAP_FAILED && move(portal, source, target, 64) == 1 && close(file) == 0;
}

static int tells(int directory, const char *name, const char *text)
{
	char found[16] = "";
	int file = openat(directory, name, O_RDONLY);

	return file >= 0 && read(file, found, 15) > 0 && strcmp(found, text) == 0 && close(file) == 0;
}

int main(void)
{
	struct open_how beneath = { .flags = O_RDWR, .resolve = RESOLVE_BENEATH };
	int files = open("/dev/dsa", O_PATH | O_DIRECTORY), queues = open("/sys/bus/dsa/devices/wq0.0", O_RDONLY | O_DIRECTORY), other;

	if (!serves(openat(files, "wq0.0", O_RDWR)) || !serves(syscall(SYS_openat2, files, "wq0.0", &beneath, sizeof beneath)))
		return 1;
	if (!tells(queues, "mode", "shared\n") || chdir("/dev/dsa") || !serves(open("wq0.0", O_RDWR)))
		return 2;
	if (!serves(open("./../dsa/wq0.0", O_RDWR)))
		return 3;
	other = open("/proc/self/cwd/wq0.0", O_RDWR);
	if (other >= 0 && !serves(other))
		return 6;
	if (chdir("/sys/bus") || !tells(AT_FDCWD, "dsa/devices/wq0.0/mode", "shared\n"))
		return 4;
	return chdir("/sys/bus/dsa/devices") || !tells(AT_FDCWD, "wq0.0/mode", "shared\n") ? 5 : 0;
}
