/*
 * marks: work is outstanding when the program executes itself by a 32-bit call, of which a filter of its own says what the filter of
 * pasidlab says of 64-bit ones. What lands in the next program ("marks landed", linked to the same addresses) comes too late.
 */
#include "device.h"
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>

enum { OURS = 0x5A51, COUNT = 60 };
static char *const target = (char *)0x60000000;

static void *low_page(void)
{
	return mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
}

static char *map_target(void)
{
	return mmap(target, COUNT * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
}

static int landed(void)
{
	int bytes = 0;

	map_target();
	sleep_for(0.1);
	for (int i = 0; i < COUNT * 4096; i++)
		bytes += target[i] != 0;
	return bytes ? 1 : 4;
}

int main(int count, char **words)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_I386, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRACE | OURS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { 4, filter };
	static struct record records[COUNT];
	char *source = map_target(), *path = low_page();
	uint32_t *pointers = (uint32_t *)(path + 512);
	long result;

	if (count > 1)
		return landed();
	void *portal = open_portal();
	memset(source, 7, COUNT * 4096);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
		return 96;
	for (int i = 0; i < COUNT; i++) {
		struct descriptor descriptor = describe(MOVE, &records[i], source, target + i * 4096, 4096);
		enqcmd(portal, &descriptor);
	}
	strcpy(path, "/proc/self/exe");
	strcpy(path + 64, "landed");
	pointers[0] = pointers[1] = (uintptr_t)path + 64;
	asm volatile("int $0x80" : "=a"(result) : "a"(11), "b"(path), "c"(pointers), "d"(pointers + 2) : "memory", "r8", "r9", "r10", "r11");
	return result == -ENOSYS ? 4 : 93; /* SECCOMP_RET_TRACE without a tracer */
}
