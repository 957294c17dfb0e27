/* permits DIRECTORY: a thread that permits every open on this mount (fanotify_init(2)) submits first. 0 if nobody waits for ever. */
#include "device.h"
#include <sys/fanotify.h>

static void *portal;
static char source[64], target[64];
static int events;

static void *permits(void *unused)
{
	struct fanotify_event_metadata event;

	while (read(events, &event, sizeof event) == sizeof event) {
		struct fanotify_response answer = { event.fd, FAN_ALLOW };

		if (move(portal, source, target, 64) != 1)
			_exit(1);
		write(events, &answer, sizeof answer);
		close(event.fd);
	}
	_exit(2);
}

int main(int count, char **words)
{
	struct record record = { 0 };
	struct descriptor wrong = describe(99, &record, source, target, 64);
	pthread_t thread;

	portal = open_portal();
	events = fanotify_init(FAN_CLASS_CONTENT | FAN_CLOEXEC, O_RDONLY);
	if (events < 0)
		return errno == EPERM ? 0 : 3;
	if (fanotify_mark(events, FAN_MARK_ADD | FAN_MARK_MOUNT, FAN_OPEN_PERM, AT_FDCWD, words[1]))
		return 77;
	pthread_create(&thread, NULL, permits, NULL);
	submit(portal, &wrong);
	open_portal();
	return wait_for(&record, 20) == 0x10 ? 0 : 4;
}
