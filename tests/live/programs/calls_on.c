/*
 * calls_on WHAT: every call that changes mappings is made on one of WHAT (portal, code, slots, page, text: the portal; pasidlab's code, shared
 * memory and page; the program's own code that submits), each in a process of its own that has submitted often, and submits afterwards.
 * None hangs or completes what was not done. Only calls that take the memory away end a process, by a signal. 0 if so, else prints.
 */
#include "device.h"
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>

enum { PAGE = 4096, NO_MORE = 30 };
static char *portal, *start, source[64], target[64];
static size_t length;

static int moves(int times)
{
	static int mark;

	for (int i = 0; i < times; i++) {
		memset(source, ++mark, 64);
		if (move(portal, source, target, 64) != 1 || memcmp(source, target, 64))
			return 0;
	}
	return 1;
}

/* The mapping that has these words in its line of /proc/self/maps, or that holds an address. */
static void find(const char *permissions, const char *name, void *held)
{
	unsigned long first, end;
	char line[512];
	FILE *maps = fopen("/proc/self/maps", "r");

	while (!start && fgets(line, sizeof line, maps))
		if (sscanf(line, "%lx-%lx", &first, &end) == 2 && (held ? first <= (unsigned long)held && (unsigned long)held < end :
							     strstr(line, permissions) && strstr(line, name))) {
			start = (char *)first;
			length = end - first;
		}
	fclose(maps);
}

static void choose(const char *what)
{
	if (!strcmp(what, "portal"))
		find(NULL, NULL, portal);
	else if (!strcmp(what, "code"))
		find(" r-xp", "memfd:pasidlab", NULL);
	else if (!strcmp(what, "slots"))
		find(" rw-s", "memfd:pasidlab", NULL);
	else if (!strcmp(what, "page"))
		find(NULL, NULL, (void *)0x7ed500000000);
	else
		find(NULL, NULL, moves);
	if (!start)
		_exit(77); /* there is no such thing here: of an exact run, say */
}

static void serve(void)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register area = { { (uintptr_t)start, length }, UFFDIO_REGISTER_MODE_MISSING };
	int served = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);

	if (served >= 0 && !ioctl(served, UFFDIO_API, &api))
		ioctl(served, UFFDIO_REGISTER, &area);
}

/* What is done. Those from 2 to 13, and 17 to 19, may take the memory away. */
static void do_it(int which)
{
	char *elsewhere = mmap(NULL, length, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	switch (which) {
	case 0: syscall(462, start, length, 0); break; /* mseal, Linux 6.10 */
	case 1: syscall(462, start, length, 0); mprotect(start, length, PROT_NONE); munmap(start, length); break;
	case 2: mprotect(start, length, PROT_NONE); break;
	case 3: mprotect(start, length, PROT_READ); break;
	case 4: mprotect(start, length, PROT_READ | PROT_WRITE | PROT_EXEC); break;
	case 5: syscall(SYS_pkey_mprotect, start, length, PROT_NONE, -1); break;
	case 6: mremap(start, length, length, MREMAP_MAYMOVE | MREMAP_DONTUNMAP); break;
	case 7: mremap(start, length, length, MREMAP_MAYMOVE | MREMAP_FIXED, elsewhere); break;
	case 8: mremap(elsewhere, length, length, MREMAP_MAYMOVE | MREMAP_FIXED, start); break;
	case 9: mremap(start, length, 2 * length, MREMAP_MAYMOVE); break;
	case 10: madvise(start, length, MADV_DONTNEED); break;
	case 11: madvise(start, length, MADV_REMOVE); break;
	case 12: madvise(start, length, 102); break; /* MADV_GUARD_INSTALL, Linux 6.13 */
	case 13: madvise(start, length, MADV_FREE); break;
	case 14: madvise(start, length, MADV_PAGEOUT); break;
	case 15: madvise(start, length, MADV_MERGEABLE); break;
	case 16: madvise(start, length, MADV_DONTFORK); break;
	case 17: serve(); break;
	case 18: remap_file_pages(start, length, 0, 0, 0); break;
	case 19: munmap(start, length); break;
	case 20: mlock(start, length); break;
	case 21: msync(start, length, MS_INVALIDATE | MS_SYNC); break;
	default: _exit(NO_MORE);
	}
}

int main(int count, char **words)
{
	int wrong = 0, only = count > 2 ? atoi(words[2]) : -1;

	for (int which = 0, status = 0; status != NO_MORE << 8; which++) {
		if (only >= 0 && which != only && which < NO_MORE)
			continue;
		if (!fork()) {
			portal = open_portal();
			if (!moves(30))
				_exit(3);
			choose(words[1]);
			alarm(8);
			do_it(which);
			_exit(moves(30) ? 0 : 2);
		}
		wait(&status);
		int number = status & 127, exited = status >> 8;
		int may_die = number == SIGSEGV || number == SIGBUS || number == SIGILL;
		if (status == 77 << 8)
			return 77;
		int may_be_taken = which >= 2 && which <= 19 && !(which >= 14 && which <= 16);

		if (exited == 2 || exited == 3 || (number && !(may_die && may_be_taken))) {
			printf("%s, call %d: status %x\n", words[1], which, status);
			wrong = 1;
		}
		if (only >= 0) {
			printf("%x\n", status);
			break;
		}
	}
	return wrong;
}
