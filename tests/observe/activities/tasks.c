/* Tasks that begin, end, execute other programs, and go from CPU to CPU. */
#include "activities.h"

#include <linux/sched.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define CPUS 2

static void *lives_briefly(void *arg)
{
	int i;

	for (i = below(20); i > 0; i--) {
		vectors();
		if (below(2))
			sched_yield();
		else
			usleep(below(50));
	}
	return arg;
}

void threads(void)
{
	pthread_t ids[6];
	int count, i;

	while (more()) {
		for (count = 0; count < 6; count++)
			if (pthread_create(&ids[count], NULL, lives_briefly, NULL))
				break;
		for (i = 0; i < count; i++)
			pthread_join(ids[i], NULL);
	}
}

/* Forks that succeed, and forks that fail early and late. */
void forks(void)
{
	struct clone_args no_thread = { .flags = CLONE_THREAD }; /* without CLONE_SIGHAND: refused at once */
	struct clone_args no_pidfd = { .flags = CLONE_PIDFD, .pidfd = 8, .exit_signal = SIGCHLD }; /* nothing can be written to 8 */
	pid_t child, taken = getpid();
	struct clone_args no_pid = { .exit_signal = SIGCHLD, .set_tid = (unsigned long)&taken, .set_tid_size = 1 };
	struct clone_args *const fails[] = { &no_thread, &no_pidfd, &no_pid };

	while (more()) {
		vectors();
		child = below(2) ? fork() : vfork();
		if (!child)
			_exit(0);
		reap(child);
		child = syscall(SYS_clone3, fails[below(3)], sizeof(no_pid));
		if (!child)
			_exit(0);
		reap(child);
	}
}

static void *executes(void *arg)
{
	usleep(below(500));
	vectors();
	execv(arg ? SELF : "/proc/self/maps", nothing);
	return NULL;
}

/* By the only thread, by a thread beside others, in vain, with no room for the new stack, and killed on the way. */
void execs(void)
{
	struct rlimit small = { PAGE, PAGE };
	pid_t child;
	int how;

	while (more()) {
		how = below(5);
		child = fork();
		if (!child) {
			no_core();
			if (how == 0)
				execv("/proc/self/maps", nothing);
			if (how == 1)
				setrlimit(RLIMIT_STACK, &small);
			if (how == 2) {
				thread(computes, NULL);
				thread(executes, (void *)(long)below(2));
				thread(executes, SELF);
				if (below(2))
					pthread_exit(NULL);
				computes(NULL);
			}
			execv(SELF, nothing);
			_exit(0);
		}
		if (how > 2) {
			usleep(below(600));
			end_of(child);
		} else {
			reap(child);
		}
	}
}

/* An init that leaves children behind waits for them as it exits. */
void namespaces(void)
{
	pid_t outer, init;

	while (more()) {
		outer = fork();
		if (!outer) {
			if (unshare(CLONE_NEWPID))
				_exit(0);
			init = fork();
			if (!init) {
				if (!fork())
					computes(NULL);
				if (!fork())
					vectors(), _exit(0);
				usleep(below(500));
				_exit(0);
			}
			reap(init);
			_exit(0);
		}
		reap(outer);
	}
}

void migrations(void)
{
	cpu_set_t set;

	thread(computes, NULL);
	while (more()) {
		CPU_ZERO(&set);
		CPU_SET(below(CPUS), &set);
		sched_setaffinity(0, sizeof(set), &set);
		vectors();
		sched_yield();
	}
}

/* The pid of a task that has just been reaped is given to the next. */
void reuse(void)
{
	pid_t child, pid = fork();
	struct clone_args same = { .exit_signal = SIGCHLD, .set_tid = (unsigned long)&pid, .set_tid_size = 1 };

	if (!pid)
		_exit(0);
	reap(pid);
	while (more()) {
		child = syscall(SYS_clone3, &same, sizeof(same));
		if (!child) {
			vectors();
			if (below(2))
				execv(SELF, nothing);
			_exit(0);
		}
		reap(child);
		usleep(below(100));
	}
}
