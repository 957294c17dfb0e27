/*
 * quota LIMIT WAY NUMBER: RLIMIT_SIGPENDING is LIMIT. A process sends signal NUMBER with kill(2) 300 times, each once the one before was heard.
 * Meanwhile one thread submits that blocks none, in WAY "moves" another that blocks all, in WAY "batches" none. 0 if all are heard, and
 * no mask changes.
 */
#include "device.h"
#include <sys/resource.h>

enum { TIMES = 300, MEMBERS = 64 };
static struct { volatile int sent, heard; } *counts;
static volatile int wrong;
static void *portal;

static void hears(int number, siginfo_t *info, void *context)
{
	if (info->si_signo != number)
		wrong = 1;
	__sync_fetch_and_add(&counts->heard, 1);
}

static void *moves(void *blocks)
{
	char source[64] = "x", target[64];
	sigset_t mask;

	sigfillset(&mask);
	pthread_sigmask(blocks ? SIG_SETMASK : SIG_UNBLOCK, &mask, NULL);
	while (!wrong) {
		if (move(portal, source, target, 64) != 1)
			wrong = 2;
		pthread_sigmask(SIG_SETMASK, NULL, &mask);
		if (sigismember(&mask, SIGSEGV) != (blocks != NULL) || sigismember(&mask, SIGRTMIN) != (blocks != NULL))
			wrong = 3;
	}
	return NULL;
}

static void *batches(void *nothing)
{
	static struct descriptor members[MEMBERS];
	static struct record record;
	static char source[4096], target[4096];
	struct descriptor batch = describe(BATCH, &record, members, NULL, MEMBERS);
	sigset_t mask;

	sigfillset(&mask);
	pthread_sigmask(SIG_UNBLOCK, &mask, NULL);
	for (int i = 0; i < MEMBERS; i++)
		members[i] = describe(MOVE, NULL, source, target, sizeof source);
	while (!wrong) {
		record.status = 0;
		submit(portal, &batch);
		if (wait_for(&record, 20) != 1)
			wrong = 4;
	}
	return NULL;
}

static void sends(pid_t parent, int number)
{
	double end;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (int i = 0; i < TIMES; i++) {
		counts->sent++;
		if (kill(parent, number))
			_exit(1);
		for (end = now() + 10; counts->heard < counts->sent;)
			if (now() > end)
				_exit(2);
		sleep_for(some_moment(0.0005) + i * 3e-6);
	}
	_exit(0);
}

int main(int count, char **words)
{
	struct rlimit limit = { atoi(words[1]), atoi(words[1]) };
	struct sigaction action = { .sa_sigaction = hears, .sa_flags = SA_SIGINFO | SA_RESTART };
	int number = atoi(words[3]), status = -1;
	pid_t parent = getpid(), child;
	pthread_t thread;
	sigset_t all;

	setrlimit(RLIMIT_SIGPENDING, &limit);
	counts = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	sigaction(number, &action, NULL);
	child = fork();
	if (!child)
		sends(parent, number);
	portal = open_portal();
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, NULL);
	if (!strcmp(words[2], "moves")) {
		pthread_create(&thread, NULL, moves, "blocks");
		pthread_create(&thread, NULL, moves, NULL);
	} else {
		pthread_create(&thread, NULL, batches, NULL);
	}
	while (waitpid(child, &status, 0) < 0)
		;
	printf("%d of %d heard, wrong %d, sender %x\n", counts->heard, TIMES, wrong, status);
	return wrong || status || counts->heard != TIMES;
}
