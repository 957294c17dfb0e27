/*
 * execs HOW FILE: a thread executes FILE, a copy of a program that exits with 4. That waits inside the kernel, before its point of no
 * return, until the main thread has done something, for which it needs the tracer. Without one it takes milliseconds.
 */
#include "device.h"
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>

static void *portal;
static const char *file;
static char *argument; /* of the new program */
static int lease;
static volatile int asked;

static void unmoved(const char *what)
{
	printf("%s\n", what);
	fflush(stdout);
	_exit(1);
}

/* Everything that stops in the tracer: submissions, mmap, handlers, threads. */
static void *works(void *unused)
{
	static char source[2 << 20], target[2 << 20];

	if (move(portal, source, target, 64) != 1 || move(portal, source, target, sizeof source) != 1)
		unmoved("no move");
	munmap(open_portal(), 4096);
	signal(SIGSEGV, SIG_IGN);
	signal(SIGSEGV, SIG_DFL);
	return NULL;
}

static void *executes(void *unused)
{
	sigset_t all;

	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, NULL);
	execl(file, file, argument, (char *)NULL);
	unmoved("not executed");
	return NULL;
}

static void is_asked(int number)
{
	asked = 1;
}

static void releases(int number)
{
	fcntl(lease, F_SETLEASE, F_UNLCK);
}

/* The file that is executed is leased (break_lease() waits), and the main thread, which submits all the time, gives it free. */
static void submits_until_asked(void)
{
	struct record record = { 0 };
	struct descriptor descriptor = describe(NOOP, &record, NULL, NULL, 0);

	for (;;) {
		record.status = 0;
		submit(portal, &descriptor);
		if (wait_for(&record, 20) != 1)
			unmoved("no record");
	}
}

static void works_before_it_releases(void)
{
	pthread_t thread;

	while (!asked)
		sched_yield();
	for (int i = 0; i < 3; i++) {
		works(NULL);
		pthread_create(&thread, NULL, works, NULL);
		pthread_join(thread, NULL);
	}
	releases(0);
	for (;;)
		pause();
}

/* The words for the new program lie where a userfaultfd serves them. */
static void serves_the_words(int served)
{
	static char page[4096] __attribute__((aligned(4096))) = "exit 4";
	struct uffdio_copy copy = { .dst = (uintptr_t)argument, .src = (uintptr_t)page, .len = 4096 };
	struct uffd_msg message;

	if (read(served, &message, sizeof message) != sizeof message)
		unmoved("nothing asked for");
	works(NULL);
	ioctl(served, UFFDIO_COPY, &copy);
	for (;;)
		pause();
}

static int serving(void)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register area = { .mode = UFFDIO_REGISTER_MODE_MISSING };
	int served = syscall(SYS_userfaultfd, O_CLOEXEC);

	argument = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	area.range = (struct uffdio_range){ (uintptr_t)argument, 4096 };
	if (served < 0 || ioctl(served, UFFDIO_API, &api) || ioctl(served, UFFDIO_REGISTER, &area))
		_exit(77);
	return served;
}

int main(int count, char **words)
{
	int by_words = !strcmp(words[1], "words"), served;
	pthread_t thread;

	file = words[2];
	portal = open_portal();
	if (by_words) {
		served = serving();
	} else {
		lease = open(file, O_RDONLY | O_CLOEXEC);
		signal(SIGIO, strcmp(words[1], "works") ? releases : is_asked);
		fcntl(lease, F_SETOWN, getpid());
		if (fcntl(lease, F_SETLEASE, F_WRLCK))
			_exit(77);
	}
	pthread_create(&thread, NULL, executes, NULL);
	if (by_words)
		serves_the_words(served);
	if (!strcmp(words[1], "works"))
		works_before_it_releases();
	submits_until_asked();
}
