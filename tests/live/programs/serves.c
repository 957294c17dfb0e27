/*
 * serves HOW SIZE: the device is to read a page that a userfaultfd must provide first. HOW: thread (a thread answers, after a
 * traced system call), nobody, list (the batch list itself), target, record. Right is a fault status, and no waiting.
 */
#include "device.h"
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>

enum { LENGTH = 2 << 20 };
static int served;
static char answer[4096] = "answer";

static void *answers(void *unused)
{
	struct uffd_msg message;

	if (read(served, &message, sizeof message) != sizeof message)
		_exit(95);
	int file = open("/proc/self/exe", O_RDONLY);
	munmap(mmap(NULL, 4096, PROT_READ, MAP_SHARED, file, 0), 4096);
	struct uffdio_copy copy = { .dst = message.arg.pagefault.address & ~4095ull, .src = (uintptr_t)answer, .len = 4096 };
	ioctl(served, UFFDIO_COPY, &copy);
	return NULL;
}

static char *served_memory(void)
{
	struct uffdio_api api = { .api = UFFD_API };
	char *place = mmap(NULL, LENGTH, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct uffdio_register area = { .range = { (uintptr_t)place, LENGTH }, .mode = UFFDIO_REGISTER_MODE_MISSING };

	served = syscall(SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY);
	if (served < 0)
		_exit(77); /* this kernel gives none */
	ioctl(served, UFFDIO_API, &api);
	ioctl(served, UFFDIO_REGISTER, &area);
	return place;
}

int main(int count, char **words)
{
	const char *how = words[1];
	size_t size = atol(words[2]);
	void *portal = open_portal();
	static char other[LENGTH];
	static struct record record;
	char *place = served_memory();
	pthread_t thread;

	if (!strcmp(how, "thread"))
		pthread_create(&thread, NULL, answers, NULL);
	struct descriptor descriptor = describe(MOVE, &record, place, other, size);
	if (!strcmp(how, "target"))
		descriptor = describe(MOVE, &record, other, place, size);
	if (!strcmp(how, "list"))
		descriptor = describe(BATCH, &record, place, NULL, 16);
	if (!strcmp(how, "record")) { /* nobody hears of it: the queue goes on */
		descriptor = describe(MOVE, (struct record *)place, other, other + 4096, 64);
		submit(portal, &descriptor);
		return move(portal, other, other + 8192, 64) == 1 ? 0 : 1;
	}
	submit(portal, &descriptor);
	int status = wait_for(&record, 20);
	if (!strcmp(how, "thread") && memcmp(place, answer, sizeof "answer"))
		return 2;
	printf("status %#x\n", status);
	return (status & 0x7f) == 3 || (status & 0x7f) == 4 || (status & 0x7f) == 6 ? 0 : 1;
}
