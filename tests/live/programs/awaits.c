/*
 * awaits HOW WHAT: a child waits for a page that a userfaultfd serves, in one instruction. WHAT: source, target (of a MOVDIR64B to memory),
 * monitor (UMONITOR). Its parent stops it and lets it go on three times, has it handle a signal, and serves the page then. HOW: alone,
 * threads (another thread waits for signals), blocked (all signals are, so none is handled). 0: all came in time, and the instruction was
 * carried out. HOW execs: the other thread executes a program instead; term: SIGTERM comes instead.
 */
#include "device.h"
#include <linux/userfaultfd.h>
#include <poll.h>
#include <sys/ioctl.h>

enum { PIDFD_OPEN = 434, PIDFD_GETFD = 438 };
static struct shared {
	volatile int file, handled, go;
	struct record record;
	char source[64], target[64];
} *shared;
static char *page;
static const char *how, *what;

static void handles(int number)
{
	shared->handled++;
}

static void register_page(void)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register area = { .range = { (uintptr_t)page, 4096 }, .mode = UFFDIO_REGISTER_MODE_MISSING };
	int file = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);

	if (file < 0)
		file = ioctl(open("/dev/userfaultfd", O_RDWR | O_CLOEXEC), USERFAULTFD_IOC_NEW, O_CLOEXEC | O_NONBLOCK);
	if (file < 0 || ioctl(file, UFFDIO_API, &api) || ioctl(file, UFFDIO_REGISTER, &area))
		_exit(77);
	shared->file = file;
}

static void *waits(void *unused)
{
	while (!shared->go)
		sleep_for(0.001);
	execl("/bin/true", "true", NULL);
	return NULL;
}

static int child(void)
{
	struct sigaction action = { .sa_handler = handles };
	void *portal = open_portal();
	pthread_t thread;
	sigset_t all;

	sigfillset(&all);
	sigaction(SIGUSR1, &action, NULL);
	if (strcmp(how, "alone") && strcmp(how, "term"))
		pthread_create(&thread, NULL, waits, NULL);
	if (!strcmp(how, "blocked") || !strcmp(how, "threads"))
		pthread_sigmask(SIG_BLOCK, &all, NULL);
	if (!strcmp(how, "threads")) {
		sigdelset(&all, SIGUSR1);
		pthread_sigmask(SIG_SETMASK, &all, NULL);
	}
	register_page();
	if (!strcmp(what, "source")) {
		submit(portal, (struct descriptor *)page);
		return wait_for(&shared->record, 10) == 1 && !memcmp(shared->target, shared->source, 64) ? 0 : 1;
	}
	if (!strcmp(what, "target")) { /* movdir64b (%rdx), %rax */
		asm volatile(".byte 0x66,0x0f,0x38,0xf8,0x02" : : "a"(page), "d"(shared->source) : "memory");
		return memcmp(page, shared->source, 64) ? 1 : 0;
	}
	asm volatile(".byte 0xf3,0x0f,0xae,0xf0" : : "a"(page) : "memory"); /* umonitor %rax */
	return 0;
}

static int stop_and_go_on(pid_t pid)
{
	int status;

	kill(pid, SIGSTOP);
	if (waitpid(pid, &status, WUNTRACED) != pid || !WIFSTOPPED(status))
		return 2;
	kill(pid, SIGCONT);
	return waitpid(pid, &status, WCONTINUED) == pid && WIFCONTINUED(status) ? 0 : 3;
}

static int of_a_waiting(pid_t pid, int file)
{
	struct uffdio_copy copy = { .src = (uintptr_t)aligned_alloc(4096, 4096), .dst = (uintptr_t)page, .len = 4096 };
	struct descriptor d = describe(MOVE, &shared->record, shared->source, shared->target, 64);
	int wrong = 0;

	for (int i = 0; i < 3 && !wrong; i++)
		wrong = stop_and_go_on(pid);
	if (strcmp(how, "blocked"))
		for (kill(pid, SIGUSR1); !shared->handled;)
			sleep_for(0.001);
	memcpy((void *)copy.src, &d, sizeof d);
	return ioctl(file, UFFDIO_COPY, &copy) ? 4 : wrong;
}

int main(int count, char **words)
{
	int status, wrong = 0, file;
	struct pollfd asked = { .events = POLLIN };
	pid_t pid;

	how = words[1], what = words[2];
	shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	memset(shared->source, 'x', 64);
	pid = fork();
	if (!pid)
		_exit(child());
	while (!shared->file) {
		if (waitpid(pid, &status, WNOHANG))
			return WEXITSTATUS(status);
		sleep_for(0.001);
	}
	file = asked.fd = syscall(PIDFD_GETFD, syscall(PIDFD_OPEN, pid, 0), shared->file, 0);
	if (file < 0)
		return 77;
	if (poll(&asked, 1, 10000) != 1)
		return 6;
	alarm(20);
	if (!strcmp(how, "term"))
		kill(pid, SIGTERM);
	else if (!strcmp(how, "execs"))
		shared->go = 1;
	else
		wrong = of_a_waiting(pid, file);
	waitpid(pid, &status, 0);
	if (wrong)
		return wrong;
	return WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status);
}
