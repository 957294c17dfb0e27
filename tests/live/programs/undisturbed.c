/*
 * undisturbed SECONDS: threads that block all signals submit once, and then wait in calls that fail with EINTR after any stop, a tracer's
 * too (signal(7)). Another thread is sent SIGILL and SIGSEGV meanwhile, for which there are handlers, while more threads submit.
 * 0 if each signal is heard with its number, and no call fails with EINTR.
 */
#include "device.h"
#include <sys/epoll.h>
#include <sys/sem.h>
#include <sys/socket.h>

enum { WAYS = 5, SUBMITTING = 2 };
static volatile int ends, disturbed, heard, odd;
static int polled, semaphore, pair[2];
static void *portal;

static void note(int number, siginfo_t *info, void *context)
{
	sigset_t now;

	pthread_sigmask(SIG_BLOCK, NULL, &now);
	odd |= info->si_signo != number || info->si_code != SI_TKILL || !sigismember(&now, number) || sigismember(&now, 64);
	heard++;
}

static void block_all(void)
{
	sigset_t all;

	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, NULL);
}

static void *submits(void *unused)
{
	static __thread char source[64], target[64];

	block_all();
	while (!ends)
		move(portal, source, target, 64);
	return NULL;
}

static int wait_in(long way)
{
	struct timespec soon = { 0, 200000000 };
	struct sembuf down = { .sem_op = -1 };
	struct epoll_event event;
	sigset_t user;
	char byte;

	switch (way) {
	case 0:
		return epoll_wait(polled, &event, 1, 200);
	case 1:
		return semtimedop(semaphore, &down, 1, &soon);
	case 2:
		sigemptyset(&user);
		sigaddset(&user, SIGUSR1);
		return sigtimedwait(&user, NULL, &soon);
	case 3:
		return recv(pair[0], &byte, 1, 0);
	default:
		return nanosleep(&soon, NULL);
	}
}

static void *waits(void *way)
{
	char source[64], target[64];

	block_all();
	move(portal, source, target, 64);
	while (!ends) {
		errno = 0;
		wait_in((long)way);
		if (errno == EINTR)
			disturbed |= 1 << (long)way;
	}
	return NULL;
}

int main(int count, char **words)
{
	struct timeval as_long = { 0, 200000 };
	struct sigaction action = { .sa_sigaction = note, .sa_flags = SA_SIGINFO };
	pthread_t threads[WAYS + SUBMITTING];
	double end = now() + atof(words[1]);
	int sent = 0;

	portal = open_portal();
	polled = epoll_create1(0);
	semaphore = semget(IPC_PRIVATE, 1, 0600);
	socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
	setsockopt(pair[0], SOL_SOCKET, SO_RCVTIMEO, &as_long, sizeof as_long);
	sigaction(SIGILL, &action, NULL);
	sigaction(SIGSEGV, &action, NULL);
	for (long i = 0; i < WAYS + SUBMITTING; i++)
		pthread_create(&threads[i], NULL, i < WAYS ? waits : submits, (void *)i);
	for (; now() < end; sent++) {
		sleep_for(0.003);
		raise(sent & 1 ? SIGILL : SIGSEGV);
	}
	ends = 1;
	for (int i = 0; i < WAYS + SUBMITTING; i++)
		pthread_join(threads[i], NULL);
	semctl(semaphore, 0, IPC_RMID);
	if (disturbed || odd || heard != sent)
		printf("EINTR in %x, odd %d, heard %d of %d\n", disturbed, odd, heard, sent);
	return disturbed || odd || heard != sent;
}
