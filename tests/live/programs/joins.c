/*
 * joins: a child submits a batch that takes seconds and that pasidlab carries out itself; another thread of it waits. Its parent
 * stops it, and has to be told by wait(2) within a second. 0 if it is.
 */
#include "device.h"

enum { DIF_INSERT = 0x13, MEMBERS = 63, SIZE = 64 << 20 };

static void *waits(void *unused)
{
	for (;;)
		pause();
}

static void child(volatile int *begun)
{
	static struct descriptor list[MEMBERS];
	static struct record records[MEMBERS], all;
	char *source = mmap(NULL, 3UL * SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	pthread_t other;

	for (int i = 0; i < MEMBERS; i++)
		list[i] = describe(DIF_INSERT, &records[i], source, source + SIZE, SIZE);
	struct descriptor batch = describe(BATCH, &all, list, NULL, MEMBERS);
	void *portal = open_portal();

	pthread_create(&other, NULL, waits, NULL);
	*begun = 1;
	submit(portal, &batch);
	_exit(92);
}

int main(void)
{
	volatile int *begun = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t pid = fork(), told = 0;
	int status;

	if (!pid)
		child(begun);
	while (!*begun)
		usleep(1000);
	usleep(200000);
	double stopped = now();
	kill(pid, SIGSTOP);
	while (!told && now() - stopped < 1) {
		usleep(1000);
		told = waitpid(pid, &status, WUNTRACED | WNOHANG);
	}
	kill(pid, SIGKILL);
	return told == pid && WIFSTOPPED(status) ? 0 : 1;
}
