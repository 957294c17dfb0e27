/*
 * A program for Intel DSA in C.
 *
 *     gcc -O2 -o dsa_hello examples/dsa_hello.c
 *     ./dsa_hello                      with DSA and a configured shared work queue
 *     pasidlab run -- ./dsa_hello      on any other x86-64 Linux machine
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct descriptor { /* linux/idxd.h, struct dsa_hw_desc */
	uint32_t pasid;
	uint32_t flags_opcode;
	uint64_t completion;
	uint64_t source;
	uint64_t destination;
	uint32_t size;
	uint16_t interrupt;
	uint16_t reserved;
	uint8_t specific[24];
} __attribute__((aligned(64)));

enum { MEMMOVE = 3, BOF = 1 << 1, CRAV = 1 << 2, RCR = 1 << 3 }; /* block on fault; record address valid, requested */

/* 1: not accepted, try again. Assembled by hand, so that any compiler will do: enqcmd (%rdx),%rax */
static int enqcmd(volatile void *portal, const void *descriptor)
{
	uint8_t retry;

	__asm__ volatile("sfence\n\t"
			 ".byte 0xf2, 0x0f, 0x38, 0xf8, 0x02\n\t"
			 "setz %0"
			 : "=r"(retry) : "a"(portal), "d"(descriptor) : "memory", "cc");
	return retry;
}

int main(int argc, char **argv)
{
	const char *path = argc > 1 ? argv[1] : "/dev/dsa/wq0.0";
	static char source[65536], target[65536];
	static struct descriptor d;
	static volatile uint8_t record[32] __attribute__((aligned(32)));
	int fd = open(path, O_RDWR);

	if (fd < 0) {
		fprintf(stderr, "%s: %s; try: pasidlab run -- %s\n", path, strerror(errno), argv[0]);
		return 1;
	}
	void *portal = mmap(NULL, 4096, PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, 0);
	if (portal == MAP_FAILED) {
		perror("mmap");
		return 1;
	}
	memset(source, 'D', sizeof(source));
	d.flags_opcode = MEMMOVE << 24 | BOF | CRAV | RCR;
	d.completion = (uintptr_t)record;
	d.source = (uintptr_t)source;
	d.destination = (uintptr_t)target;
	d.size = sizeof(source);
	while (enqcmd(portal, &d))
		;
	while (!record[0])
		;
	printf("memory move: status %#x, %s\n", record[0], memcmp(source, target, sizeof(source)) ? "different" : "equal");
	return record[0] != 1;
}
