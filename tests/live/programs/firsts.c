/* firsts: the first process of a pid namespace ends by what its instructions raise, with and without a portal, from any of its threads.
 * Ends with 0 if each does so within 5 s, as it must; with 77 where there can be no such namespace. */
#include "device.h"
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/resource.h>

static char source[64], target[64];

static void trapped_call(void)
{
	struct sock_filter code[] = { BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_sync, 0, 1),
				      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW) };
	struct sock_fprog program = { 4, code };

	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
	sync();
}

static void *raises(void *how)
{
	switch ((long)how) {
	case SIGSEGV:
		*(volatile int *)8 = 1;
	case SIGILL:
		asm volatile("ud2");
	case SIGTRAP:
		asm volatile("int3");
	case SIGFPE:
		asm volatile("divl %0" : : "r"(0), "a"(1), "d"(0));
	case SIGBUS:
		*(volatile char *)mmap(NULL, 4096, PROT_WRITE, MAP_SHARED, memfd_create("empty", 0), 0) = 1;
	case SIGSYS:
		trapped_call();
	}
	_exit(1);
}

static void lives(long how, int portal, int thread)
{
	pthread_t other;

	if (portal && move(open_portal(), source, target, sizeof(source)) != 1)
		_exit(2);
	if (thread && !pthread_create(&other, NULL, raises, (void *)how))
		pthread_join(other, NULL);
	raises((void *)how);
}

/* The wait status; -1 if it has none in time. */
static int outcome(pid_t child)
{
	double end = now() + 5;
	int status;

	while (now() < end) {
		if (waitpid(child, &status, WNOHANG) == child)
			return status;
		sleep_for(0.001);
	}
	kill(child, SIGKILL);
	waitpid(child, &status, 0);
	return -1;
}

int main(void)
{
	static const int signals[] = { SIGSEGV, SIGILL, SIGTRAP, SIGFPE, SIGBUS, SIGSYS };
	struct rlimit none = { 0, 0 };

	setrlimit(RLIMIT_CORE, &none);
	for (int at = 0; at < 24; at++) {
		int how = signals[at / 4], status;
		pid_t apart = fork();

		if (!apart) {
			pid_t child;

			if (unshare(CLONE_NEWPID) && unshare(CLONE_NEWUSER | CLONE_NEWPID))
				_exit(77);
			child = fork();
			if (!child)
				lives(how, at & 1, at & 2);
			status = outcome(child);
			_exit(WIFSIGNALED(status) && WTERMSIG(status) == how ? 0 : 1);
		}
		waitpid(apart, &status, 0);
		if (status) {
			fprintf(stderr, "signal %d, portal %d, thread %d: %x\n", how, at & 1, !!(at & 2), status);
			return WEXITSTATUS(status);
		}
	}
	return 0;
}
