/*
 * fetch HOW: ENQCMD that may not be executed, or not be read, or that is another instruction by now. 0 if all is as on hardware.
 */
#include "device.h"
#include <setjmp.h>

static sigjmp_buf after;
static void *portal, *fault;
static char source[64] = "x", target[64];
static struct record *record;

static void jumps(int number, siginfo_t *info, void *context)
{
	fault = info->si_addr;
	siglongjmp(after, number);
}

/* The signal that a call of this code with an ENQCMD ends with, 0 if it returns. */
static int call(void *code)
{
	struct descriptor descriptor = describe(MOVE, record, source, target, 64);
	uint8_t retry;
	int number;

	memset(record, 0, sizeof *record);
	target[0] = 0;
	if ((number = sigsetjmp(after, 1)))
		return number;
	do
		asm volatile("call *%1" : "=a"(retry) : "r"(code), "a"(portal), "d"(&descriptor) : "memory", "cc");
	while (retry);
	return 0;
}

static int moves(void *code)
{
	return !call(code) && wait_for(record, 20) == 1 && target[0] == 'x';
}

static void *code_at(void *place, const char *bytes, size_t size)
{
	char page[4096], name[] = "/tmp/fetch-XXXXXX";
	int file = mkstemp(name), map_fixed = place ? MAP_FIXED : 0;

	memset(page, 0xcc, sizeof page);
	memcpy(page, bytes, size);
	write(file, page, sizeof page);
	close(file);
	file = open(name, O_RDONLY);
	unlink(name);
	place = mmap(place, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | map_fixed, file, 0);
	close(file);
	return place;
}

static const char instruction[] = "\xf2\x0f\x38\xf8\x02\x0f\x94\xc0\xc3"; /* ENQCMD (%rdx), %rax; setz %al; ret */

static int data(void)
{
	char *page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	for (char *place = page; place <= page + 4096 - 2; place += 4096 - 2) { /* the second ends in another page */
		memcpy(place, instruction, sizeof instruction);
		mprotect(page, 4096, place == page ? PROT_READ : PROT_READ | PROT_EXEC);
		if (call(place) != SIGSEGV || fault != (place == page ? page : page + 4096) || record->status)
			return 1;
		mprotect(page, 4096, PROT_READ | PROT_WRITE);
	}
	return 0;
}

/* The program may execute it, but not read it. */
static int unreadable(void)
{
	char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	memcpy(page, instruction, sizeof instruction);
	mprotect(page, 4096, PROT_EXEC);
	for (int i = 0; i < 20; i++)
		if (!moves(page))
			return 1;
	return 0;
}

/* Memory that only the process itself reaches is not to be had, or the device reaches it too. */
static int secret(void)
{
	int file = syscall(SYS_memfd_secret, 0);
	char *place;

	if (file < 0)
		return errno == ENOSYS ? 0 : 1;
	ftruncate(file, 4096);
	place = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	return move(portal, source, place, 64) == 1 ? 0 : 2;
}

/* Code that submits often is another, at the same place: hlt, and a jump to where nothing is. */
static int other(void)
{
	void *code = code_at(NULL, instruction, sizeof instruction);

	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < 50; i++)
			if (!moves(code))
				return 1;
		munmap(code, 4096);
		code_at(code, round ? "\xe9\0\0\0\x7f" : "\xf4\1\2\3\4", 5);
		if (call(code) != SIGSEGV || record->status)
			return 2;
		munmap(code, 4096);
		code_at(code, instruction, sizeof instruction);
	}
	return moves(code) ? 0 : 3;
}

int main(int count, char **words)
{
	struct sigaction action = { .sa_sigaction = jumps, .sa_flags = SA_SIGINFO };

	portal = open_portal();
	record = aligned_alloc(64, 64);
	sigaction(SIGSEGV, &action, NULL);
	sigaction(SIGILL, &action, NULL);
	if (!strcmp(words[1], "data"))
		return data();
	if (!strcmp(words[1], "unreadable"))
		return unreadable();
	return strcmp(words[1], "secret") ? other() : secret();
}
