/*
 * ring HOW: io_uring(7) opens a device file, or writes a descriptor to one; prints what came of it. HOW: open, write, worker
 * (IOSQE_ASYNC), nonblocking (O_NONBLOCK). A file that can be polled is written when poll(2) says so, unless it is nonblocking
 * (io_file_supports_nowait(), io_uring/rw.c, v6.12): idxd_cdev_poll() never says so, hence the other two wait, here as there.
 */
#include "device.h"
#include <linux/io_uring.h>

static int ring;
static struct io_uring_params parameters;
static char *submissions, *completions;
static struct io_uring_sqe *entries;

static void make_ring(void)
{
	ring = syscall(SYS_io_uring_setup, 4, &parameters);
	if (ring < 0)
		_exit(77); /* this kernel gives none */
	submissions = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring, IORING_OFF_SQ_RING);
	completions = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring, IORING_OFF_CQ_RING);
	entries = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring, IORING_OFF_SQES);
}

static unsigned *at(char *area, unsigned offset)
{
	return (unsigned *)(area + offset);
}

/* The result, or 1 << 20 if there is none in time. */
static int result_of(struct io_uring_sqe entry)
{
	unsigned tail = *at(submissions, parameters.sq_off.tail), head = *at(completions, parameters.cq_off.head);
	double end = now() + 1;

	entries[0] = entry;
	at(submissions, parameters.sq_off.array)[tail & 3] = 0;
	__atomic_store_n(at(submissions, parameters.sq_off.tail), tail + 1, __ATOMIC_RELEASE);
	syscall(SYS_io_uring_enter, ring, 1, 0, 0, NULL, 0);
	while (__atomic_load_n(at(completions, parameters.cq_off.tail), __ATOMIC_ACQUIRE) == head)
		if (now() > end)
			return 1 << 20;
	__atomic_store_n(at(completions, parameters.cq_off.head), head + 1, __ATOMIC_RELEASE);
	return ((struct io_uring_cqe *)(completions + parameters.cq_off.cqes))[head & (parameters.cq_entries - 1)].res;
}

int main(int count, char **words)
{
	char source[64] = "x", target[64] = "";
	struct record record = { 0 };
	int file;

	make_ring();
	if (!strcmp(words[1], "open")) {
		file = result_of((struct io_uring_sqe){ .opcode = IORING_OP_OPENAT, .fd = AT_FDCWD, .addr = (uintptr_t)"/dev/dsa/wq0.0",
							.open_flags = O_RDWR | O_CLOEXEC });
		if (file < 0)
			return printf("open: %s\n", strerror(-file)), 0;
		return printf("status %d\n", move(map_portal(file), source, target, 64)), 0;
	}
	file = open_queue();
	if (!strcmp(words[1], "nonblocking"))
		fcntl(file, F_SETFL, O_NONBLOCK);
	struct descriptor descriptor = describe(MOVE, &record, source, target, 64);
	int result = result_of((struct io_uring_sqe){ .opcode = IORING_OP_WRITE, .fd = file, .addr = (uintptr_t)&descriptor, .len = 64,
						      .flags = strcmp(words[1], "worker") ? 0 : IOSQE_ASYNC });
	if (result == 1 << 20)
		return puts("write: waits"), 0;
	if (result < 0)
		return printf("write: %s\n", strerror(-result)), 0;
	printf("write: %d, status %d, moved %d\n", result, wait_for(&record, 3), target[0] == 'x');
	return 0;
}
