/*
 * jobs WAY: submits until there is a line to read, and says "." now and then. SIGTSTP is at its default, ignored (ignores), or handled as
 * editors do (handles): the handler stops the program itself. It reads at once (reads), or goes to a process group of its own, to
 * which it gives the terminal (apart). First it says its number.
 */
#include "device.h"
#include <poll.h>

static void stops_itself(int number)
{
	sigset_t set;

	dprintf(1, "[");
	signal(SIGTSTP, SIG_DFL);
	sigemptyset(&set);
	sigaddset(&set, SIGTSTP);
	raise(SIGTSTP);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	signal(SIGTSTP, stops_itself);
	dprintf(1, "]");
}

int main(int count, char **words)
{
	static char source[64], target[64], line[64];
	struct pollfd input = { .events = POLLIN };
	void *portal = open_portal();

	if (!strcmp(words[1], "ignores"))
		signal(SIGTSTP, SIG_IGN);
	if (!strcmp(words[1], "handles"))
		signal(SIGTSTP, stops_itself);
	if (!strcmp(words[1], "apart")) {
		setpgid(0, 0);
		signal(SIGTTOU, SIG_IGN);
		tcsetpgrp(0, getpgrp());
		signal(SIGTTOU, SIG_DFL);
	}
	dprintf(1, "%d\n", getpid());
	for (double said = 0; strcmp(words[1], "reads") && poll(&input, 1, 0) <= 0;) {
		if (move(portal, source, target, 64) != 1)
			return 1;
		if (now() > said + 0.02) {
			dprintf(1, ".");
			said = now();
		}
	}
	return read(0, line, sizeof(line)) < 2;
}
