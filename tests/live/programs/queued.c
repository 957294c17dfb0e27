/* queued SIZE: SIGSEGV is queued with a value while moves of SIZE bytes run; every handler that runs finds the value. */
#include "device.h"

static volatile int heard, right;

static void handler(int number, siginfo_t *info, void *context)
{
	heard++;
	right += info->si_code == SI_QUEUE && info->si_value.sival_int == 4711 && info->si_pid > 1;
}

int main(int count, char **words)
{
	size_t size = atol(words[1]);
	char *source = malloc(size), *target = malloc(size);
	struct sigaction action = { .sa_sigaction = handler, .sa_flags = SA_SIGINFO };
	void *portal = open_portal();
	pid_t me = getpid(), child;
	int status;

	memset(source, 3, size);
	sigaction(SIGSEGV, &action, NULL);
	child = fork();
	if (!child) {
		for (int i = 0; i < 25; i++) {
			sigqueue(me, SIGSEGV, (union sigval){ .sival_int = 4711 });
			sleep_for(0.007);
		}
		_exit(0);
	}
	while (waitpid(child, &status, WNOHANG) != child)
		if (move(portal, source, target, size) != 1)
			return 1;
	printf("heard %d, right %d\n", heard, right);
	return !heard || heard != right;
}
