/* A work queue as a C program sees it: its file, its portal, descriptors (linux/idxd.h) and completion records. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum operation { NOOP = 0, BATCH = 1, MOVE = 3, FILL = 4, COMPARE = 5 };
enum flag { BLOCK_ON_FAULT = 2, RECORD_VALID = 4, REQUEST_RECORD = 8 };

struct descriptor {
	uint32_t pasid, operation_and_flags;
	uint64_t record, source, target;
	uint32_t size;
	uint8_t rest[28];
} __attribute__((aligned(64)));

struct record {
	volatile uint8_t status;
	uint8_t rest[31];
} __attribute__((aligned(32)));

static inline double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec * 1e-9;
}

static inline void sleep_for(double seconds)
{
	struct timespec t = { seconds, (seconds - (long)seconds) * 1e9 };

	nanosleep(&t, NULL);
}

/* A moment that differs from process to process, at most ``longest`` seconds. */
static inline double some_moment(double longest)
{
	return longest * (getpid() * 7919u % 1000) / 1000;
}

static inline void *map_portal(int file)
{
	void *portal = mmap(NULL, 4096, PROT_WRITE, MAP_SHARED, file, 0);

	if (portal == MAP_FAILED) {
		perror("portal");
		_exit(90);
	}
	return portal;
}

static inline int open_queue(void)
{
	int file = open("/dev/dsa/wq0.0", O_RDWR | O_CLOEXEC);

	if (file < 0) {
		perror("/dev/dsa/wq0.0");
		_exit(91);
	}
	return file;
}

static inline void *open_portal(void)
{
	return map_portal(open_queue());
}

/* Pages that are not in memory are faulted in (BLOCK_ON_FAULT). */
static inline struct descriptor describe(int operation, struct record *record, const void *source, void *target, size_t size)
{
	uint32_t flags = (record ? RECORD_VALID | REQUEST_RECORD : 0) | (operation >= MOVE ? BLOCK_ON_FAULT : 0);

	return (struct descriptor){ .operation_and_flags = (uint32_t)operation << 24 | flags, .record = (uintptr_t)record,
				    .source = (uintptr_t)source, .target = (uintptr_t)target, .size = size };
}

/* Whether the queue says that the program is to try again. */
static inline int enqcmd(void *portal, const struct descriptor *descriptor)
{
	uint8_t retry;

	asm volatile(".byte 0xf2,0x0f,0x38,0xf8,0x02; setz %0" : "=r"(retry) : "a"(portal), "d"(descriptor) : "memory", "cc");
	return retry;
}

static inline void submit(void *portal, const struct descriptor *descriptor)
{
	while (enqcmd(portal, descriptor))
		;
}

/* The status, once there is one; -1 if there is none in time. */
static inline int wait_for(struct record *record, double seconds)
{
	double end = now() + seconds;

	while (!record->status) {
		if (now() > end)
			return -1;
		sched_yield();
	}
	return record->status;
}

/* A move, to its end: the status. */
static inline int move(void *portal, const void *source, void *target, size_t size)
{
	struct record record = { 0 };
	struct descriptor descriptor = describe(MOVE, &record, source, target, size);

	submit(portal, &descriptor);
	return wait_for(&record, 20);
}
