/*
 * unserved HOW: pages that a userfaultfd serves. HOW: source, path, action (of what the tracer or the kernel reads there; nobody serves it,
 * and the program waits for a signal that ends it), own (a page of pasidlab's in the program: the thread that serves it sets a handler of
 * SIGILL first).
 */
#include "device.h"
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>

static int served;
static char empty[4096] __attribute__((aligned(4096)));
static char *const own = (char *)0x7ED500000000; /* WINDOW */

static void handles(int number)
{
}

static void set_handler(void)
{
	struct sigaction action = { .sa_handler = handles };

	sigaction(SIGILL, &action, NULL);
}

static void serve_from(char *place, size_t size)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register area = { .range = { (uintptr_t)place, size }, .mode = UFFDIO_REGISTER_MODE_MISSING };

	served = syscall(SYS_userfaultfd, O_CLOEXEC);
	if (served < 0)
		served = ioctl(open("/dev/userfaultfd", O_RDWR | O_CLOEXEC), USERFAULTFD_IOC_NEW, O_CLOEXEC);
	if (served < 0 || ioctl(served, UFFDIO_API, &api) || ioctl(served, UFFDIO_REGISTER, &area))
		_exit(77);
}

static void *serves(void *unused)
{
	struct uffd_msg message;

	while (read(served, &message, sizeof message) == sizeof message) {
		struct uffdio_copy copy = { .dst = message.arg.pagefault.address & -4096, .src = (uintptr_t)empty, .len = 4096 };

		set_handler();
		ioctl(served, UFFDIO_COPY, &copy);
	}
	return NULL;
}

int main(int count, char **words)
{
	void *portal = open_portal();
	char *pages = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char source[64], target[64];
	pthread_t thread;

	serve_from(strcmp(words[1], "own") ? pages : own, 4096);
	if (!strcmp(words[1], "own")) {
		pthread_create(&thread, NULL, serves, NULL);
		for (int i = 0; i < 3; i++) {
			madvise(own, 4096, MADV_DONTNEED);
			set_handler();
		}
		return move(portal, source, target, 64) == 1 ? 0 : 1;
	}
	printf("waits\n");
	fflush(stdout);
	if (!strcmp(words[1], "source"))
		enqcmd(portal, (struct descriptor *)pages);
	else if (!strcmp(words[1], "path"))
		open(pages, O_RDONLY);
	else
		syscall(SYS_rt_sigaction, SIGILL, pages, NULL, 8);
	return 2;
}
