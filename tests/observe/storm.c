/*
 * The most events that two CPUs make: on each, two processes that wake each other through pipes and compute in between. ``storm SECONDS``
 */
#define _GNU_SOURCE
#include <sched.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CPUS 2
#define ROUNDS 1000

static volatile double sum;

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec + time.tv_nsec / 1e9;
}

static void answers(int from, int to)
{
	char byte;

	while (read(from, &byte, 1) == 1) {
		sum += 0.5;
		if (write(to, &byte, 1) != 1)
			break;
	}
	_exit(0);
}

static void asks(int cpu, double seconds)
{
	double end = now() + seconds;
	int there[2], back[2], i;
	cpu_set_t set;
	char byte = 1;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	sched_setaffinity(0, sizeof(set), &set);
	if (pipe(there) || pipe(back))
		_exit(1);
	if (!fork()) {
		close(there[1]);
		answers(there[0], back[1]);
	}
	while (now() < end) {
		for (i = 0; i < ROUNDS; i++) {
			sum += 0.5;
			if (write(there[1], &byte, 1) != 1 || read(back[0], &byte, 1) != 1)
				_exit(1);
		}
	}
	close(there[1]);
	wait(NULL);
	_exit(0);
}

int main(int argc, char **argv)
{
	int cpu;

	if (argc != 2)
		return 2;
	for (cpu = 0; cpu < CPUS; cpu++)
		if (!fork())
			asks(cpu, atof(argv[1]));
	while (wait(NULL) > 0)
		;
	return 0;
}
