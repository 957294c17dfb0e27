/*
 * pending SIZE: SIGILL, SIGSEGV and SIGBUS wait for a thread that blocks them, whoever sent them and whatever they say, while it
 * submits. Each is heard once, when it is unblocked, with what it said. 0 if so.
 */
#include "device.h"

static volatile int heard, code, value;

static void handler(int number, siginfo_t *info, void *context)
{
	heard++;
	code = info->si_code;
	value = info->si_value.sival_int;
}

static int send(int number, int how, int to_process)
{
	siginfo_t info = { .si_signo = number, .si_code = how };

	info.si_value.sival_int = 4711;
	if (how == SI_TKILL)
		return raise(number);
	if (to_process)
		return syscall(SYS_rt_sigqueueinfo, getpid(), number, &info);
	return syscall(SYS_rt_tgsigqueueinfo, getpid(), gettid(), number, &info);
}

/* 0, or what was wrong. */
static int waits(void *portal, int number, int how, int to_process, size_t size)
{
	static char source[1 << 21], target[1 << 21];
	sigset_t set, pending;

	heard = 0;
	sigemptyset(&set);
	sigaddset(&set, number);
	sigprocmask(SIG_BLOCK, &set, NULL);
	if (send(number, how, to_process))
		return 1;
	for (int i = 0; i < 12; i++) {
		memset(source, 'a' + i, size);
		if (move(portal, source, target, size) != 1 || target[size - 1] != 'a' + i)
			return 2;
	}
	sigpending(&pending);
	if (heard || !sigismember(&pending, number))
		return 3;
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	return heard != 1 || code != how || (how != SI_TKILL && value != 4711) ? 4 : 0;
}

int main(int count, char **words)
{
	static const int numbers[] = { SIGILL, SIGSEGV, SIGBUS }, codes[] = { SI_TKILL, SI_QUEUE, 1, 2, SI_KERNEL };
	struct sigaction action = { .sa_sigaction = handler, .sa_flags = SA_SIGINFO };
	void *portal = open_portal();

	for (int i = 0; i < 30; i++) {
		int number = numbers[i % 3], how = codes[i / 3 % 5], to_process = i / 15;

		sigaction(number, &action, NULL);
		int wrong = waits(portal, number, how, to_process, atol(words[1]));
		if (wrong) {
			printf("signal %d, si_code %d, process %d: %d\n", number, how, to_process, wrong);
			return wrong;
		}
	}
	return 0;
}
