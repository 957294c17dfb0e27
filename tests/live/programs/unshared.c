/* unshared: a thread with a table of descriptors to itself opens a queue, and maps it by a number that means another file to the others. */
#include "device.h"

static int file;

static void *apart(void *unused)
{
	char source[64] = "x", target[64] = "";

	if (unshare(CLONE_FILES))
		_exit(77);
	close(file);
	if (open_queue() != file)
		_exit(2);
	_exit(move(map_portal(file), source, target, 64) != 1 || *target != 'x');
}

int main(void)
{
	pthread_t thread;

	file = open("/dev/dsa/wq0.0", O_RDONLY | O_CLOEXEC);
	pthread_create(&thread, NULL, apart, NULL);
	pthread_join(thread, NULL);
	return 3;
}
