/*
 * halts ROUNDS: a child opens a file of the tree again and again, with no room on its stack, and is stopped at any moment. Until
 * SIGCONT it does not go on; then it does.
 */
#include "device.h"

static volatile long *opened;

static void opens(void)
{
	static const char name[] = "/sys/bus/dsa/devices/wq0.0/mode";
	char *stack = mmap(NULL, 3 * 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	mprotect(stack + 2 * 4096, 4096, PROT_READ | PROT_WRITE);
	for (;; ++*opened) {
		long file = SYS_open;

		asm volatile("mov %%rsp, %%rbx; mov %1, %%rsp; syscall; mov %%rbx, %%rsp"
			     : "+a"(file) : "r"(stack + 2 * 4096 + 64), "D"(name), "S"(O_RDONLY) : "rbx", "rcx", "r11", "memory");
		if (file < 0)
			_exit(1);
		close(file);
	}
}

static int went_on(double seconds)
{
	long before = *opened;

	for (double end = now() + seconds; *opened == before && now() < end;)
		sleep_for(0.0005);
	return *opened != before;
}

int main(int count, char **words)
{
	int status;
	pid_t child;

	opened = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (!(child = fork())) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		opens();
	}
	for (int i = 0; i < atoi(words[1]); i++) {
		if (!went_on(10))
			return 2;
		sleep_for(1e-6 * (rand() % 3000));
		kill(child, SIGSTOP);
		if (waitpid(child, &status, WUNTRACED) != child || !WIFSTOPPED(status))
			return 3;
		sleep_for(0.002);
		if (went_on(0.01))
			return 4;
		kill(child, SIGCONT);
	}
	kill(child, SIGKILL);
	return 0;
}
