/*
 * sent SIZE: SIGSEGV, SIGBUS and SIGILL that say that an instruction raised them, sent to the process while two threads submit. Each is
 * heard once, with what it said, and not at all where it is ignored. 0 if so.
 */
#include "device.h"

static char source[1 << 21], target[1 << 21];
static void *portal;
static size_t size;
static volatile int heard, number, code, over;
static volatile uintptr_t address;

static void handler(int which, siginfo_t *info, void *context)
{
	number = which;
	code = info->si_code;
	address = (uintptr_t)info->si_addr;
	heard++;
}

static void *submits(void *bytes)
{
	char small[64];

	while (!over)
		if (move(portal, source, bytes ? target : small, bytes ? size : 64) != 1)
			_exit(2);
	return NULL;
}

int main(int count, char **words)
{
	static const int numbers[] = { SIGSEGV, SIGBUS, SIGILL }, codes[] = { 1, 0x80, 2, 0x80, 3, 0x80 };
	struct sigaction action = { .sa_sigaction = handler, .sa_flags = SA_SIGINFO };
	pthread_t threads[2];
	sigset_t all;

	portal = open_portal();
	size = atol(words[1]);
	for (int i = 0; i < 3; i++)
		sigaction(numbers[i], &action, NULL);
	pthread_create(&threads[0], NULL, submits, &size);
	pthread_create(&threads[1], NULL, submits, NULL);
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, NULL);
	for (int i = 0; i < 54; i++) {
		siginfo_t info = { .si_signo = numbers[i % 3], .si_code = codes[i / 3 % 6] };
		uintptr_t told = info.si_code == 0x80 ? 0 : 0x1234560; /* as #GP says it (SI_KERNEL) */
		int before = heard;
		double end = now() + 10;

		info.si_addr = (void *)told;
		syscall(SYS_rt_sigqueueinfo, getpid(), info.si_signo, &info);
		while (heard == before && now() < end)
			sched_yield();
		if (heard != before + 1 || number != info.si_signo || code != info.si_code || address != told) {
			printf("sent %d (%d), heard %d: %d (%d)\n", info.si_signo, info.si_code, heard - before, number, code);
			return 1;
		}
	}
	for (int i = 0; i < 3; i++) {
		siginfo_t info = { .si_signo = numbers[i], .si_code = 1 };

		signal(numbers[i], SIG_IGN);
		syscall(SYS_rt_sigqueueinfo, getpid(), info.si_signo, &info);
	}
	sleep_for(0.05);
	over = 1;
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	return heard != 54;
}
