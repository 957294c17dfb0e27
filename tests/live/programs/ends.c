/* ends HOW SIZE: two threads move SIZE bytes again and again; the process ends in the middle of it. */
#include "device.h"

static void *portal;
static size_t size;

static void *moves(void *unused)
{
	char *source = malloc(size), *target = malloc(size);

	memset(source, 1, size);
	while (move(portal, source, target, size) == 1)
		;
	_exit(92);
}

static void *exits(void *unused)
{
	_exit(3);
}

static void *executes(void *unused)
{
	execl("/bin/sh", "sh", "-c", "exit 3", NULL);
	_exit(93);
}

int main(int count, char **words)
{
	const char *how = words[1];
	pthread_t thread;

	size = atol(words[2]);
	portal = open_portal();
	for (int i = 0; i < 2; i++)
		pthread_create(&thread, NULL, moves, NULL);
	sleep_for(0.1 + some_moment(0.03));
	if (!strcmp(how, "exit"))
		exit(3);
	if (!strcmp(how, "exit-group"))
		_exit(3);
	if (!strcmp(how, "thread-exits"))
		pthread_create(&thread, NULL, exits, NULL);
	if (!strcmp(how, "exec"))
		executes(NULL);
	if (!strcmp(how, "thread-execs"))
		pthread_create(&thread, NULL, executes, NULL);
	if (!strcmp(how, "abort"))
		abort();
	if (!strcmp(how, "kill"))
		kill(getpid(), SIGKILL);
	if (!strcmp(how, "term"))
		raise(SIGTERM);
	sleep(60);
	return 94;
}
