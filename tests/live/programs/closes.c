/*
 * closes HOW ROUNDS: a child moves much memory by one thread and closes a descriptor of the queue by another, which waits for the move.
 * Then the thread that moves is stopped (HOW: stop), or all are (group); or the child is killed (kill), or the thread that moves ends
 * by a signal (end), or a third thread calls execve (exec) or exit (exit). stopped-MORE: MORE (kill, go) comes when it has stopped.
 * 0 if the parent hears of it within three seconds, and what goes on after SIGCONT finds the move done.
 */
#include "device.h"

enum { LIMIT = 3 };
static size_t const size = 192 << 20;
static volatile pid_t *mover; /* shared: its number, once it is about to submit */
static volatile int closed;
static int queue;
static char *words_of_exec[] = { "sh", "-c", "exit 4", NULL };

static void *closes(void *unused)
{
	int other = dup(queue);

	while (!*mover)
		;
	sleep_for(0.01);
	close(other);
	closed = 1;
	return NULL;
}

static void *ends(void *how)
{
	while (!*mover)
		;
	sleep_for(0.03);
	if (!strcmp(how, "exec"))
		execv("/bin/sh", words_of_exec);
	_exit(4);
}

static void child(char *how)
{
	char *source = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *target = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	void *portal = map_portal(queue = open_queue());
	struct record record = { 0 };
	struct descriptor descriptor = describe(MOVE, &record, source, target, size);
	pthread_t closing, ending;

	source[0] = source[size - 1] = 'x';
	pthread_create(&closing, NULL, closes, NULL);
	if (!strcmp(how, "exec") || !strcmp(how, "exit"))
		pthread_create(&ending, NULL, ends, how);
	*mover = syscall(SYS_gettid);
	submit(portal, &descriptor);
	if (wait_for(&record, 20) != 1 || target[0] != 'x' || target[size - 1] != 'x')
		_exit(5);
	pthread_join(closing, NULL);
	_exit(closed ? 4 : 6);
}

/* The next that is told of the child, -1 if nothing is in time. */
static int told(pid_t pid, int options)
{
	int status;

	for (double end = now() + LIMIT; now() < end; sleep_for(0.001))
		if (waitpid(pid, &status, options | WNOHANG) == pid)
			return status;
	return -1;
}

static int one_round(char *how, double moment)
{
	char *more = strncmp(how, "stopped-", 8) ? NULL : how + 8;
	int status, stops = more || !strcmp(how, "stop") || !strcmp(how, "group"), good = 0;
	pid_t pid;

	*mover = 0;
	pid = fork();
	if (!pid)
		child(how);
	while (!*mover)
		;
	sleep_for(moment);
	if (stops) {
		if (strcmp(how, "group"))
			syscall(SYS_tgkill, pid, *mover, SIGSTOP);
		else
			kill(pid, SIGSTOP);
		status = told(pid, WUNTRACED);
		good = status != -1 && (WIFSTOPPED(status) || (WIFEXITED(status) && WEXITSTATUS(status) == 4));
		if (!good || !WIFSTOPPED(status)) {
			kill(pid, SIGKILL);
			waitpid(pid, &status, 0);
			return good ? 0 : 2;
		}
		kill(pid, more && !strcmp(more, "kill") ? SIGKILL : SIGCONT);
	}
	if (!strcmp(how, "kill"))
		kill(pid, SIGKILL);
	if (!strcmp(how, "end"))
		syscall(SYS_tgkill, pid, *mover, SIGTERM);
	status = told(pid, 0);
	if (status == -1) {
		kill(pid, SIGKILL);
		waitpid(pid, &status, 0);
		return 3;
	}
	if (!strcmp(how, "kill") || (more && !strcmp(more, "kill")))
		return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL ? 0 : 4;
	if (!strcmp(how, "end"))
		return WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM ? 0 : 4;
	return WIFEXITED(status) ? WEXITSTATUS(status) == 4 ? 0 : 10 + WEXITSTATUS(status) : 5;
}

int main(int count, char **words)
{
	mover = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	for (int i = 0; i < atoi(words[2]); i++) {
		int wrong = one_round(words[1], 0.02 + 0.01 * (i % 8));

		if (wrong)
			return wrong;
	}
	return 0;
}
