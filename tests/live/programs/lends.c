/*
 * lends FREE SECONDS: SIGILL, SIGSEGV, SIGBUS and all real-time signals but the last FREE have handlers, and another process sends them.
 * Threads that block all signals begin, submit and end meanwhile, others submit that block none, and children are forked. 0 if each signal
 * is heard with its number, each real-time signal as often as it was sent, no mask changes, and children have the handlers.
 */
#include "device.h"

enum { FIRST = 35 };
struct counts { volatile int sent, heard, stops; };
static const int traps[] = { SIGILL, SIGSEGV, SIGBUS };
static struct counts *counts;
static volatile int ends, wrong;
static int last;
static void *portal;

static void trap(int number, siginfo_t *info, void *context)
{
	if ((number != SIGILL && number != SIGSEGV && number != SIGBUS) || info->si_signo != number || info->si_value.sival_int != number)
		wrong = 1;
}

static void real(int number, siginfo_t *info, void *context)
{
	if (number < FIRST || info->si_signo != number || info->si_value.sival_int != number)
		wrong = 2;
	__sync_fetch_and_add(&counts->heard, 1);
}

static void handle(int number, void (*handler)(int, siginfo_t *, void *))
{
	struct sigaction action = { .sa_sigaction = handler, .sa_flags = SA_SIGINFO | SA_RESTART };

	sigaction(number, &action, NULL);
}

static void submit_once(void)
{
	char source[64] = "x", target[64];

	if (move(portal, source, target, 64) != 1)
		wrong = 3;
}

static void *blocks(void *unused)
{
	sigset_t all, now;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, NULL);
	for (int i = 0; i < 3; i++) {
		submit_once();
		pthread_sigmask(SIG_SETMASK, NULL, &now);
		for (int k = 0; k < 3; k++)
			if (!sigismember(&now, traps[k]))
				wrong = 4;
	}
	return NULL;
}

static void *begins(void *unused)
{
	sigset_t all;
	pthread_t thread;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, NULL);
	while (!ends) {
		pthread_create(&thread, NULL, blocks, NULL);
		pthread_join(thread, NULL);
	}
	return NULL;
}

static void *submits(void *unused)
{
	while (!ends)
		submit_once();
	return NULL;
}

static void *forks(void *unused)
{
	struct sigaction action;
	int status;
	pid_t child;

	while (!ends) {
		child = fork();
		if (!child) {
			for (int number = FIRST; number <= last; number++)
				if (sigaction(number, NULL, &action) || action.sa_sigaction != real)
					_exit(1);
			for (int number = last + 1; number <= 64; number++)
				if (sigaction(number, NULL, &action) || action.sa_handler != SIG_DFL)
					_exit(2);
			_exit(0);
		}
		while (waitpid(child, &status, 0) < 0)
			;
		if (status)
			wrong = 5;
		usleep(1000);
	}
	return NULL;
}

static void sends(pid_t parent)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	while (!counts->stops) {
		for (int k = 0; k < 3; k++)
			sigqueue(parent, traps[k], (union sigval){ traps[k] });
		for (int number = last; number >= FIRST && number > last - 2; number--)
			if (sigqueue(parent, number, (union sigval){ number }) == 0)
				counts->sent++;
		usleep(3000);
	}
	_exit(0);
}

int main(int count, char **words)
{
	pthread_t threads[3];
	pid_t parent = getpid(), child;
	double end;

	last = 64 - atoi(words[1]);
	counts = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	portal = open_portal();
	for (int number = FIRST; number <= last; number++)
		handle(number, real);
	for (int k = 0; k < 3; k++)
		handle(traps[k], trap);
	child = fork();
	if (!child)
		sends(parent);
	pthread_create(threads, NULL, begins, NULL);
	pthread_create(threads + 1, NULL, submits, NULL);
	pthread_create(threads + 2, NULL, forks, NULL);
	for (end = now() + atof(words[2]); now() < end && !wrong;)
		usleep(1000);
	counts->stops = 1;
	while (waitpid(child, NULL, 0) < 0)
		;
	for (end = now() + 5; counts->heard < counts->sent && now() < end;)
		usleep(1000);
	ends = 1;
	for (int k = 0; k < 3; k++)
		pthread_join(threads[k], NULL);
	if (counts->heard != counts->sent)
		wrong = 6;
	printf("%d of %d heard, wrong %d\n", counts->heard, counts->sent, wrong);
	return wrong;
}
