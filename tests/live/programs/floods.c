/*
 * floods: many threads open a device file, write an attribute, poll: the file server has always something to do. Each of the
 * submissions meanwhile has its turn; then the program waits for a signal.
 */
#include "device.h"
#include <poll.h>

static void *floods(void *way)
{
	struct pollfd polled = { open("/dev/dsa/wq0.0", O_RDWR), POLLIN };

	for (;;) {
		if (way == (void *)0)
			close(open("/dev/dsa/wq0.0", O_RDWR));
		else if (way == (void *)1)
			poll(&polled, 1, 0);
		else {
			int file = open("/sys/bus/dsa/devices/wq0.0/priority", O_WRONLY);

			write(file, "5", 1);
			close(file);
		}
	}
	return NULL;
}

int main(void)
{
	void *portal = open_portal();
	char source[64], target[64];
	pthread_t thread;
	double longest = 0;

	for (long i = 0; i < 48; i++)
		pthread_create(&thread, NULL, floods, (void *)(i % 3));
	for (double end = now() + 1, before; (before = now()) < end;) {
		if (move(portal, source, target, 64) != 1)
			return 1;
		if (now() - before > longest)
			longest = now() - before;
	}
	printf("%s\n", longest < 2 ? "in time" : "late");
	fflush(stdout);
	for (;;)
		pause();
}
