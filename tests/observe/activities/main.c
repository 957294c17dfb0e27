/*
 * What makes a kernel save, load, reset and copy registers, an activity a name: ``activities SECONDS [NAME ...]``, all of them without
 * a name. ``activities -`` is what it executes. Activities that the kernel refuses (no KVM, no root) do less, or nothing.
 */
#include "activities.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

char *const nothing[] = { "activities", "-", NULL };
static volatile double sum;
static double end;

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec + time.tv_nsec / 1e9;
}

int more(void)
{
	return now() < end;
}

unsigned below(unsigned limit)
{
	static __thread unsigned seed;

	if (!seed)
		seed = syscall(SYS_gettid) * 2654435761u ^ (unsigned)(now() * 1e6);
	seed = seed * 1664525 + 1013904223;
	return (seed >> 8) % limit;
}

void vectors(void)
{
	if (__builtin_cpu_supports("avx512f"))
		__asm__ volatile("vpternlogd $0xff, %%zmm17, %%zmm17, %%zmm17" ::: "memory");
	else if (__builtin_cpu_supports("avx2"))
		__asm__ volatile("vpcmpeqd %%ymm1, %%ymm1, %%ymm1" ::: "xmm1", "memory");
	sum += 0.5;
}

void *computes(void *arg)
{
	while (more()) {
		vectors();
		if (!below(64))
			usleep(1);
	}
	return arg;
}

void thread(void *(*function)(void *), void *arg)
{
	pthread_t id;

	if (!pthread_create(&id, NULL, function, arg))
		pthread_detach(id);
}

void reap(pid_t child)
{
	while (child > 0 && waitpid(child, NULL, __WALL) < 0 && errno == EINTR)
		;
}

void end_of(pid_t child)
{
	if (child > 0)
		kill(child, SIGKILL);
	reap(child);
}

void no_core(void)
{
	struct rlimit none = { 0, 0 };

	setrlimit(RLIMIT_CORE, &none);
}

static const struct {
	const char *name;
	void (*works)(void);
} activities[] = {
	{ "threads", threads }, { "forks", forks }, { "execs", execs }, { "signals", signals }, { "ptraces", ptraces }, { "uring", uring },
	{ "namespaces", namespaces }, { "crypto", crypto }, { "migrations", migrations }, { "timers", timers }, { "reuse", reuse },
	{ "dumps", dumps }, { "kvm", kvm },
};

#define COUNT (int)(sizeof(activities) / sizeof(*activities))

static int wanted(const char *name, char **names)
{
	if (!*names)
		return 1;
	while (*names && strcmp(name, *names))
		names++;
	return *names != NULL;
}

int main(int argc, char **argv)
{
	pid_t groups[COUNT];
	int count = 0, i;

	if (argc < 2 || argv[1][0] == '-')
		return 0;
	end = now() + atof(argv[1]);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	for (i = 0; i < COUNT; i++) {
		if (!wanted(activities[i].name, argv + 2))
			continue;
		groups[count] = fork();
		if (!groups[count]) {
			setpgid(0, 0);
			activities[i].works();
			_exit(0);
		}
		count++;
	}
	while (now() < end + 0.2) /* most end by themselves */
		usleep(10000);
	for (i = 0; i < count; i++) {
		if (groups[i] > 1)
			kill(-groups[i], SIGKILL);
		end_of(groups[i]);
	}
	while (wait(NULL) > 0) /* whom they have left */
		;
	return 0;
}
