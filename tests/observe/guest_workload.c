/*
 * What keeps a guest's FPU busy: threads that compute with vectors, signals with live registers, forks, execs, a tracer that reads and
 * writes registers, sleeps and migrations. ``guest_workload ROUNDS``; ``guest_workload -`` is what it executes.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static volatile double sum;
static int rounds;

static void handler(int sig)
{
	sum += sig * 1.5;
}

static void *computes(void *arg)
{
	cpu_set_t set;
	int i, k;

	for (i = 0; i < rounds; i++) {
		CPU_ZERO(&set);
		CPU_SET(((long)arg + i) & 1, &set);
		sched_setaffinity(0, sizeof(set), &set);
		for (k = 0; k < 300; k++)
			sum = sum * 1.0001 + k;
		if (i % 4 == 0)
			raise(SIGUSR1);
		usleep(300);
	}
	return arg;
}

static void forks(void)
{
	char *const arguments[] = { "/workload", "-", NULL };
	int i, status;
	pid_t child;

	for (i = 0; i < rounds; i++) {
		child = fork();
		if (!child) {
			sum += 2.5;
			if (i & 1)
				execv(arguments[0], arguments);
			_exit(0);
		}
		waitpid(child, &status, 0);
	}
}

static void traces(void)
{
	struct user_fpregs_struct registers;
	int i, status;
	pid_t child = fork();

	if (!child) {
		ptrace(PTRACE_TRACEME, 0, 0, 0);
		for (i = 0; i < rounds; i++) {
			sum += 0.5;
			raise(SIGSTOP);
		}
		_exit(0);
	}
	while (waitpid(child, &status, 0) == child && WIFSTOPPED(status)) {
		ptrace(PTRACE_GETFPREGS, child, 0, &registers);
		ptrace(PTRACE_SETFPREGS, child, 0, &registers);
		ptrace(PTRACE_CONT, child, 0, 0);
	}
}

int main(int argc, char **argv)
{
	pthread_t threads[3];
	long i;

	if (argc < 2 || argv[1][0] == '-')
		return sum != 0;
	rounds = atoi(argv[1]);
	signal(SIGUSR1, handler);
	for (i = 0; i < 3; i++)
		pthread_create(&threads[i], NULL, computes, (void *)i);
	forks();
	traces();
	for (i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	return 0;
}
