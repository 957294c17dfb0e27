/* mappings HOW: the program does to its mappings, and to those of pasidlab, what no program does. 0 if all is as on hardware. */
#include "device.h"
#include <sys/ipc.h>
#include <sys/shm.h>

static char *const window = (char *)0x7ed500000000; /* where pasidlab's own pages are */
static char *portal, source[1 << 20], target[1 << 20];

static int moves(size_t size)
{
	static int mark;

	memset(source, ++mark, size);
	return move(portal, source, target, size) == 1 && !memcmp(source, target, size);
}

/* ENQCMD to ordinary memory asks for another try for ever, and nothing is carried out. */
static int is_ordinary(void)
{
	struct record record = { 0 };
	struct descriptor descriptor = describe(MOVE, &record, source, target, 64);

	for (int i = 0; i < 3; i++)
		if (!enqcmd(portal, &descriptor))
			return 0;
	sleep_for(0.02);
	return !record.status;
}

static int moved_over(void)
{
	char *other = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (mremap(other, 4096, 4096, MREMAP_MAYMOVE | MREMAP_FIXED, portal) != portal)
		return 1;
	return is_ordinary() ? 0 : 2;
}

static int attached_over(void)
{
	int id = shmget(IPC_PRIVATE, 4096, 0600);
	void *at = shmat(id, portal, SHM_REMAP);

	shmctl(id, IPC_RMID, NULL);
	if (at != portal)
		return 1;
	return is_ordinary() ? 0 : 2;
}

/* vma_to_resize(), mm/mremap.c: a mapping of device memory neither grows nor stays behind. */
static int resized(void)
{
	if (mremap(portal, 4096, 8192, MREMAP_MAYMOVE) != MAP_FAILED || errno != EFAULT)
		return 1;
	if (mremap(portal, 4096, 4096, MREMAP_MAYMOVE | MREMAP_DONTUNMAP) != MAP_FAILED || errno != EINVAL)
		return 2;
	char *elsewhere = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (mremap(portal, 4096, 4096, MREMAP_MAYMOVE | MREMAP_FIXED, elsewhere) != elsewhere)
		return 3;
	portal = elsewhere;
	return moves(64) ? 0 : 4;
}

/* Pages of pasidlab become the program's own: its content stays, and everything still works. */
static int taken(void)
{
	enum { LENGTH = 16 * 4096 };
	sigset_t some;

	if (!moves(64) || !moves(sizeof source))
		return 1;
	munmap(window, LENGTH);
	char *mine = mmap(window, LENGTH, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	if (mine != window)
		return 2;
	memset(mine, 0xa5, LENGTH);
	sigemptyset(&some);
	sigaddset(&some, SIGILL);
	sigaddset(&some, SIGSEGV);
	sigprocmask(SIG_BLOCK, &some, NULL);
	signal(SIGSEGV, SIG_IGN);
	for (int i = 0; i < 3; i++)
		if (!moves(64) || !moves(sizeof source))
			return 3;
	for (int i = 0; i < LENGTH; i++)
		if ((unsigned char)mine[i] != 0xa5)
			return 4;
	return signal(SIGSEGV, SIG_DFL) == SIG_IGN ? 0 : 5;
}

static int emptied(void)
{
	if (!moves(sizeof source))
		return 1;
	for (int i = 0; i < 16; i++)
		madvise(window + 4096 * i, 4096, MADV_DONTNEED);
	return moves(sizeof source) && moves(64) ? 0 : 2;
}

static int made_read_only(void)
{
	for (int i = 0; i < 16; i++)
		mprotect(window + 4096 * i, 4096, PROT_READ);
	signal(SIGSEGV, SIG_IGN);
	return moves(64) && moves(sizeof source) && signal(SIGSEGV, SIG_DFL) == SIG_IGN ? 0 : 1;
}

/* The place of pasidlab's pages is the program's before it has a portal: they lie elsewhere, and what is put there is the program's. */
static int occupied(void)
{
	pid_t pid = fork();
	int status = -1;

	if (!pid) {
		char *place = mmap(window, 8192, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0), *ours = NULL;
		char line[256];
		unsigned long start;

		portal = open_portal();
		for (FILE *maps = fopen("/proc/self/maps", "r"); fgets(line, sizeof line, maps);)
			if (sscanf(line, "%lx", &start) == 1 && start == (unsigned long)place + 8192)
				ours = (char *)start;
		if (!ours)
			_exit(1);
		ours = mmap(ours, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
		memset(ours, 0x55, 4096);
		signal(SIGILL, SIG_IGN);
		signal(SIGSEGV, SIG_IGN);
		for (int i = 0; i < 4096; i++)
			if (ours[i] != 0x55)
				_exit(2);
		_exit(moves(64) && moves(sizeof source) ? 0 : 3);
	}
	waitpid(pid, &status, 0);
	return status >> 8;
}

/* The program's own pages on both sides of a portal are protected, and move, with it. */
static int beside(void)
{
	char *below = mmap(portal - 4096, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	char *above = mmap(portal + 4096, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	int zero = open("/dev/zero", O_RDONLY);

	if (mprotect(below, 3 * 4096, PROT_READ | PROT_WRITE) || read(zero, below, 1) != 1 || read(zero, above, 1) != 1)
		return 1;
	if (mprotect(portal, 2 * 4096, PROT_READ) || read(zero, above, 1) != -1 || read(zero, below, 1) != 1)
		return 2;
	if (mprotect(portal, 4096, PROT_WRITE) || !moves(64))
		return 3;
	munmap(above, 4096);
	if (!mprotect(below, 3 * 4096, PROT_READ | PROT_WRITE) || errno != ENOMEM || !moves(64))
		return 4;
	char *room = mmap(NULL, 8192, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (mremap(below, 8192, 8192, MREMAP_MAYMOVE | MREMAP_FIXED, room) == MAP_FAILED)
		return 0; /* several mappings at once since Linux 6.17 */
	portal = room;
	if (!is_ordinary())
		return 5;
	portal = room + 4096;
	return moves(64) ? 0 : 6;
}

int main(int count, char **words)
{
	struct { const char *name; int (*act)(void); } ways[] = {
		{ "moved-over", moved_over }, { "attached-over", attached_over }, { "resized", resized },
		{ "taken", taken }, { "emptied", emptied }, { "made-read-only", made_read_only },
		{ "occupied", occupied }, { "beside", beside },
	};

	portal = open_portal();
	for (size_t i = 0; i < sizeof ways / sizeof *ways; i++)
		if (!strcmp(words[1], ways[i].name))
			return ways[i].act();
	return 99;
}
