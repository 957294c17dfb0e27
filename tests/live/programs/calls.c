/*
 * calls HOW: system calls that could hide a task or a mapping. HOW: fork32 (by int $0x80), untraced (CLONE_UNTRACED), untraced3
 * (of clone3), below and over (munmap and mmap that begin below the portal), room (RLIMIT_AS leaves one page).
 */
#include "device.h"
#include <linux/sched.h>
#include <sys/resource.h>

static void *portal;
static char source[64] = "x", target[64];

static int moves(void)
{
	void *own = open_portal();

	target[0] = 0;
	return move(own, source, target, 64) == 1 && target[0] == 'x' ? 0 : 1;
}

static int child_of(long pid)
{
	int status;

	if (!pid)
		_exit(moves());
	if (waitpid(pid, &status, __WALL) != pid)
		return 1;
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static long fork32(void)
{
	long pid;

	asm volatile("int $0x80" : "=a"(pid) : "a"(2) : "memory", "r8", "r9", "r10", "r11");
	return pid;
}

static long clone3_untraced(void)
{
	struct clone_args arguments = { .flags = CLONE_UNTRACED, .exit_signal = SIGCHLD };

	return syscall(SYS_clone3, &arguments, sizeof arguments);
}

/* A child that submits where its portal has gone: 139 is right, death by SIGSEGV. */
static int where_it_was(const char *how)
{
	uintptr_t start = (uintptr_t)portal - (3ul << 30), length = (uintptr_t)portal + 4096 - start;
	pid_t pid = fork();
	int status;

	if (!pid) {
		struct descriptor descriptor = describe(NOOP, NULL, NULL, NULL, 0);

		portal = open_portal();
		start = (uintptr_t)portal - 8192;
		if (!strcmp(how, "below"))
			munmap((void *)start, 12288);
		else
			mmap((void *)start, 12288, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
		enqcmd(portal, &descriptor);
		_exit(0);
	}
	waitpid(pid, &status, 0);
	return length && WIFSIGNALED(status) ? 128 + WTERMSIG(status) : 1;
}

static int room_for_one_page(void)
{
	int queue = open_queue();
	long pages;
	FILE *file = fopen("/proc/self/statm", "r");

	if (fscanf(file, "%ld", &pages) != 1)
		return 2;
	setrlimit(RLIMIT_AS, &(struct rlimit){ (pages + 1) * 4096, (pages + 1) * 4096 });
	void *own = map_portal(queue);
	for (int i = 0; i < 3; i++)
		if (move(own, source, target, 64) != 1)
			return 1;
	return 0;
}

int main(int count, char **words)
{
	const char *how = words[1];

	if (!strcmp(how, "room"))
		return room_for_one_page();
	portal = open_portal();
	if (move(portal, source, target, 64) != 1)
		return 3;
	if (!strcmp(how, "fork32"))
		return child_of(fork32());
	if (!strcmp(how, "untraced"))
		return child_of(syscall(SYS_clone, CLONE_UNTRACED | SIGCHLD, 0, 0, 0, 0));
	if (!strcmp(how, "untraced3"))
		return child_of(clone3_untraced());
	return where_it_was(how);
}
