/*
 * filters SIZE BLOCKED WARM: after it has its portal the program kills itself for every system call but the few it needs,
 * then moves SIZE bytes. BLOCKED 1: with all signals blocked. WARM 1: it has moved before.
 */
#include "device.h"
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>

static void permit_only(const int *numbers, int count)
{
	struct sock_filter filter[40] = { BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)) };
	struct sock_fprog program = { 2 * count + 2, filter };

	for (int i = 0; i < count; i++) {
		filter[2 * i + 1] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, numbers[i], 0, 1);
		filter[2 * i + 2] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	}
	filter[2 * count + 1] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
		_exit(96);
}

int main(int count, char **words)
{
	int permitted[] = { SYS_write, SYS_exit_group, SYS_clock_gettime, SYS_sched_yield, SYS_rt_sigreturn };
	size_t size = atol(words[1]);
	void *portal = open_portal();
	char *source = malloc(size), *target = malloc(size);
	sigset_t all;

	memset(source, 1, size);
	memset(target, 0, size);
	if (atoi(words[3]) && move(portal, source, target, size) != 1)
		return 1;
	sigfillset(&all);
	if (atoi(words[2]))
		sigprocmask(SIG_BLOCK, &all, NULL);
	permit_only(permitted, sizeof permitted / sizeof *permitted);
	for (int i = 2; i < 5; i++) {
		memset(source, i, size);
		if (move(portal, source, target, size) != 1 || memcmp(source, target, size))
			_exit(2);
	}
	_exit(0);
}
