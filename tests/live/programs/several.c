/*
 * several before|meanwhile SIZE: SIGILL, SIGBUS and SIGSEGV come, in any order and each with a value, to a thread that blocks them, before
 * or while it moves SIZE bytes. All of them wait once, with what they said. 0 if so.
 */
#include "device.h"

static const int orders[][3] = { { SIGILL, SIGBUS, SIGSEGV }, { SIGSEGV, SIGILL, SIGBUS }, { SIGBUS, SIGSEGV, SIGILL } };
static char *source, *target;
static void *portal;
static pid_t process;
static volatile int sent;

static void send_all(const int *numbers)
{
	for (int i = 0; i < 3; i++)
		if (sigqueue(process, numbers[i], (union sigval){ .sival_int = 4711 + numbers[i] }))
			_exit(80);
}

static void *sends(void *numbers)
{
	sleep_for(0.002);
	send_all(numbers);
	sent = 1;
	return NULL;
}

/* 0, or what was wrong. */
static int waits(const int *numbers, int meanwhile, size_t size, const sigset_t *set)
{
	struct timespec none = { 0 };
	siginfo_t info;
	sigset_t pending;
	pthread_t thread;
	int moves = 0;

	sent = !meanwhile;
	if (meanwhile)
		pthread_create(&thread, NULL, sends, (void *)numbers);
	else
		send_all(numbers);
	while (!sent || moves++ < 3)
		if (move(portal, source, target, size) != 1)
			return 1;
	if (meanwhile)
		pthread_join(thread, NULL);
	sigpending(&pending);
	for (int i = 0; i < 3; i++)
		if (!sigismember(&pending, numbers[i]))
			return 2;
	for (int i = 0; i < 3; i++) {
		int number = sigtimedwait(set, &info, &none);
		if (number < 0 || info.si_code != SI_QUEUE || info.si_pid != process || info.si_value.sival_int != 4711 + number)
			return 3;
	}
	return sigtimedwait(set, &info, &none) < 0 ? 0 : 4;
}

int main(int count, char **words)
{
	size_t size = atol(words[2]);
	sigset_t set;

	process = getpid();
	source = calloc(1, size);
	target = calloc(1, size);
	portal = open_portal();
	sigemptyset(&set);
	for (int i = 0; i < 3; i++)
		sigaddset(&set, orders[0][i]);
	sigprocmask(SIG_BLOCK, &set, NULL);
	for (int i = 0; i < 12; i++) {
		int wrong = waits(orders[i % 3], !strcmp(words[1], "meanwhile"), size, &set);

		if (wrong) {
			printf("order %d: %d\n", i % 3, wrong);
			return wrong;
		}
	}
	return 0;
}
