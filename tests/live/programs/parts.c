/*
 * parts: a child protects a portal with the pages before and behind it, again and again. Its parent stops it, and is told by wait(2)
 * when that has happened: from then to SIGCONT it may not go on. 0 if it never does.
 */
#include "device.h"

enum { ROUNDS = 40, PAGE = 4096 };

static void protects(volatile long *calls)
{
	char *portal = open_portal();

	for (int side = -1; side < 2; side += 2)
		mmap(portal + side * PAGE, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	for (; !mprotect(portal - PAGE, 3 * PAGE, PROT_READ | PROT_WRITE); calls[0]++)
		;
	_exit(92);
}

int main(void)
{
	volatile long *calls = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int status, wrong = 0;
	pid_t child = fork();

	if (!child)
		protects(calls);
	while (!calls[0] && waitpid(child, &status, WNOHANG) == 0)
		usleep(1000);
	for (int i = 0; i < ROUNDS; i++) {
		usleep(random() % 5000);
		kill(child, SIGSTOP);
		if (waitpid(child, &status, WUNTRACED) != child || !WIFSTOPPED(status))
			return 2;
		usleep(2000);
		long before = calls[0];
		usleep(5000);
		wrong += calls[0] != before;
		kill(child, SIGCONT);
	}
	kill(child, SIGKILL);
	return wrong ? 1 : 0;
}
