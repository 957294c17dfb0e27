/*
 * renumbered HOW: the main thread submits a descriptor that writes to a page at a known address. Before that is done the thread itself
 * (HOW: self) or another (other) executes this program once more, which maps a page there, too. 0 if nothing is written to that.
 */
#include "device.h"

static char *const page = (char *)0x200000000000;
static char *how;

static void map_page(void)
{
	if (mmap(page, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) != page)
		_exit(77);
}

static void *executes(void *unused)
{
	sleep_for(0.2);
	execl("/proc/self/exe", "renumbered", how, "again", (char *)NULL);
	_exit(78);
}

int main(int count, char **words)
{
	static struct descriptor fill;
	static struct record record;
	pthread_t thread;

	map_page();
	how = words[1];
	if (count > 2) {
		for (double end = now() + 1; now() < end; sleep_for(0.01))
			if (page[0])
				return 1;
		return 0;
	}
	syscall(SYS_userfaultfd, O_CLOEXEC); /* even if there are none: from now on threads of pasidlab's make all accesses */
	fill = describe(FILL, &record, NULL, page, 4096);
	fill.source = ~0UL;
	void *portal = open_portal();

	if (strcmp(how, "self"))
		pthread_create(&thread, NULL, executes, NULL);
	submit(portal, &fill);
	if (!strcmp(how, "self"))
		executes(NULL);
	for (;;)
		pause();
}
