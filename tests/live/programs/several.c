/*
 * several before|meanwhile SIZE: SIGILL, SIGBUS and SIGSEGV come, in any order, to a thread that blocks them, before or while it moves
 * SIZE bytes: each with a value, by kill(2), or, before, by tgkill(2). All of them wait once, with what they said. 0 if so.
 *
 * One that tgkill(2) sends in the moment in which an instruction raises the same signal is dropped by the kernel (legacy_queue()).
 */
#include "device.h"

static const int orders[][3] = { { SIGILL, SIGBUS, SIGSEGV }, { SIGSEGV, SIGILL, SIGBUS }, { SIGBUS, SIGSEGV, SIGILL } };
static char *source, *target;
static void *portal;
static pid_t process;
static pid_t mover;
static volatile int sent, way;

static void send_all(const int *numbers)
{
	for (int i = 0; i < 3; i++)
		if (way == 0 ? sigqueue(process, numbers[i], (union sigval){ .sival_int = 4711 + numbers[i] }) :
		    way == 1 ? kill(process, numbers[i]) : (int)syscall(SYS_tgkill, process, mover, numbers[i]))
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
		if (number < 0 || info.si_pid != process || (way == 0) != (info.si_code == SI_QUEUE))
			return 3;
		if (way == 0 && info.si_value.sival_int != 4711 + number)
			return 4;
	}
	return sigtimedwait(set, &info, &none) < 0 ? 0 : 5;
}

int main(int count, char **words)
{
	int meanwhile = !strcmp(words[1], "meanwhile");
	size_t size = atol(words[2]);
	sigset_t set;

	process = getpid();
	mover = gettid();
	source = calloc(1, size);
	target = calloc(1, size);
	portal = open_portal();
	sigemptyset(&set);
	for (int i = 0; i < 3; i++)
		sigaddset(&set, orders[0][i]);
	sigprocmask(SIG_BLOCK, &set, NULL);
	for (int i = 0; i < 18; i++) {
		way = i / 3 % (meanwhile ? 2 : 3);
		int wrong = waits(orders[i % 3], meanwhile, size, &set);

		if (wrong) {
			printf("way %d, order %d: %d\n", way, i % 3, wrong);
			return wrong;
		}
	}
	return 0;
}
