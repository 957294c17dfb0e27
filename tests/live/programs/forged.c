/*
 * forged FILE: while a thread waits in execve(2), for the lease that this program holds on FILE, its leader sends itself a SIGTRAP
 * whose siginfo is that of an exec under a tracer. It handles that, gives the lease back, and FILE is executed.
 */
#include "device.h"

static char *path;
static volatile int handled;

static void *executes(void *unused)
{
	execl(path, path, (char *)NULL);
	_exit(94);
}

static void note(int number)
{
	handled = 1;
}

int main(int count, char **words)
{
	siginfo_t forged = { .si_signo = SIGTRAP, .si_code = SIGTRAP | 4 << 8 };
	int file = open(path = words[1], O_RDONLY);
	pthread_t thread;

	open_portal();
	signal(SIGTRAP, note);
	signal(SIGIO, SIG_IGN);
	if (fcntl(file, F_SETLEASE, F_WRLCK))
		return 77;
	pthread_create(&thread, NULL, executes, NULL);
	sleep_for(0.2);
	syscall(SYS_rt_tgsigqueueinfo, getpid(), getpid(), SIGTRAP, &forged);
	if (!handled)
		return 93;
	fcntl(file, F_SETLEASE, F_UNLCK);
	sleep_for(20);
	return 92;
}
