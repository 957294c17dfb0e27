/* odd HOW: things that hardly any program does with a device. 0 if all is as on hardware. */
#include "device.h"
#include <poll.h>
#include <setjmp.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/uio.h>

static void *portal;
static char source[4096] = "x", target[4096];
static sigjmp_buf after;
static volatile int heard;

static int moves(void)
{
	target[0] = 0;
	return move(portal, source, target, 64) == 1 && target[0] == 'x';
}

static int end_of(pid_t pid)
{
	int status;

	if (waitpid(pid, &status, 0) != pid)
		return -1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int path_only(void)
{
	int looked = open("/dev/dsa/wq0.1", O_PATH | O_CLOEXEC), again = open("/dev/dsa/wq0.1", O_PATH | O_CLOEXEC), file;

	if (looked < 0 || again < 0 || mmap(NULL, 4096, PROT_WRITE, MAP_SHARED, looked, 0) != MAP_FAILED || errno != EBADF)
		return 1;
	file = open("/dev/dsa/wq0.1", O_RDWR); /* dedicated: one at a time */
	return file < 0 ? 2 : 0;
}

static int sealed(void)
{
	int file = memfd_create("sealed", MFD_ALLOW_SEALING);
	struct record record = { 0 };
	char *read_only;

	if (ftruncate(file, 4096) || fcntl(file, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK))
		return 1;
	read_only = mmap(NULL, 4096, PROT_READ, MAP_SHARED, file, 0);
	struct descriptor descriptor = describe(MOVE, &record, source, read_only, 64);
	submit(portal, &descriptor);
	if ((wait_for(&record, 20) & 0x7f) != 4 || read_only[0]) /* page request refused */
		return 2;
	descriptor = describe(MOVE, (struct record *)read_only, source, target, 64);
	submit(portal, &descriptor);
	return moves() && !read_only[0] ? 0 : 3;
}

static int through_proc(void)
{
	int memory = open("/proc/self/mem", O_RDWR);

	if (pwrite(memory, source, 64, (uintptr_t)portal) > 0 || pread(memory, target, 64, (uintptr_t)portal) > 0)
		return 1;
	return moves() ? 0 : 2;
}

static void *closes(void *file)
{
	sleep_for(0.002);
	close((long)file);
	return NULL;
}

static int closed_meanwhile(void)
{
	for (int i = 0; i < 30; i++) {
		long file = open_queue();
		pthread_t thread;
		void *mapped;

		pthread_create(&thread, NULL, closes, (void *)file);
		do
			mapped = mmap(NULL, 4096, PROT_WRITE, MAP_SHARED, file, 0);
		while (mapped != MAP_FAILED && !munmap(mapped, 4096));
		pthread_join(thread, NULL);
		if (errno != EBADF)
			return 1;
	}
	return moves() ? 0 : 2;
}

static void jumps(int number, siginfo_t *info, void *context)
{
	heard += info->si_code == SI_KERNEL;
	siglongjmp(after, 1);
}

static int other_stack(void)
{
	static char stack[65536];
	struct sigaction action = { .sa_sigaction = jumps, .sa_flags = SA_SIGINFO | SA_ONSTACK };
	struct descriptor descriptor = describe(NOOP, NULL, NULL, NULL, 0);

	sigaltstack(&(stack_t){ .ss_sp = stack, .ss_size = sizeof stack }, NULL);
	sigaction(SIGSEGV, &action, NULL);
	for (volatile int i = 0; i < 20; i++)
		if (!sigsetjmp(after, 1))
			enqcmd((char *)portal + 8, &descriptor);
	return heard == 20 && moves() ? 0 : 1;
}

/* A signal stack without room for a frame: SIGSEGV kills. */
static int no_stack(void)
{
	pid_t pid = fork();

	if (!pid) {
		void *small = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		struct sigaction action = { .sa_sigaction = jumps, .sa_flags = SA_SIGINFO | SA_ONSTACK };
		struct descriptor descriptor = describe(NOOP, NULL, NULL, NULL, 0);

		portal = open_portal();
		sigaltstack(&(stack_t){ .ss_sp = small, .ss_size = 4096 }, NULL);
		sigaction(SIGSEGV, &action, NULL);
		enqcmd((char *)portal + 8, &descriptor);
		_exit(0);
	}
	return end_of(pid) == 139 && moves() ? 0 : 1;
}

static int handed_over(void)
{
	int file = open_queue();
	pid_t parent = getpid(), pid = fork();

	if (!pid) {
		int pidfd = syscall(SYS_pidfd_open, parent, 0), copy = syscall(SYS_pidfd_getfd, pidfd, file, 0);

		if (copy < 0)
			_exit(0); /* not permitted */
		_exit(mmap(NULL, 4096, PROT_WRITE, MAP_SHARED, copy, 0) == MAP_FAILED && errno == EPERM ? 0 : 1);
	}
	return end_of(pid) || !moves();
}

static int not_dumpable(void)
{
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	return moves() ? 0 : 1;
}

static int without_privileges(void)
{
	if (!getuid() && (setgid(65534) || setuid(65534)))
		return 1;
	return moves() ? 0 : 2;
}

static int apart(void)
{
	if (unshare(CLONE_NEWPID))
		return 77;
	pid_t pid = fork();
	if (!pid) {
		portal = open_portal();
		_exit(getpid() == 1 && moves() ? 0 : 1);
	}
	return end_of(pid);
}

static void *goes_on(void *unused)
{
	sleep_for(0.05);
	portal = open_portal();
	_exit(moves() ? 0 : 1);
}

static int leader_gone(void)
{
	pthread_t thread;

	pthread_create(&thread, NULL, goes_on, NULL);
	pthread_exit(NULL);
}

static int traced_child(void)
{
	pid_t pid = fork();

	if (!pid) {
		ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		portal = open_portal();
		_exit(moves() ? 0 : 1);
	}
	ptrace(PTRACE_SEIZE, pid, NULL, NULL);
	return end_of(pid);
}

static int endless_write(void)
{
	int file = open_queue();
	char *place = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	munmap(place + 4096, 4096);
	for (int i = 0; i < 64; i++)
		((struct descriptor *)place)[i] = describe(NOOP, NULL, NULL, NULL, 0);
	ssize_t written = write(file, place, 1ul << 40);
	return (written == 4096 || (written < 0 && errno == EFAULT)) && moves() ? 0 : 1;
}

static int polled(void)
{
	struct pollfd one = { .fd = open_queue(), .events = POLLIN };

	for (int i = 0; i < 2000; i++)
		poll(&one, 1, 0);
	return moves() ? 0 : 1;
}

static int long_names(void)
{
	char path[5000] = "/dev/dsa";

	for (int i = 0; i < 600; i++)
		strcat(path, "/./");
	strcat(path, "wq0.0");
	int file = open(path, O_RDWR), far;
	for (int i = 0; i < 1000; i++)
		strcat(path, "/./");
	far = open(path, O_RDWR);
	if (far >= 0 || file < 0)
		return 1;
	portal = map_portal(file);
	return moves() ? 0 : 2;
}

static long open_with_stack(const char *path, int flags, void *stack)
{
	long result;

	asm volatile("mov %%rsp, %%rbx; mov %[stack], %%rsp; syscall; mov %%rbx, %%rsp"
		     : "=a"(result)
		     : "a"(SYS_open), "D"(path), "S"((long)flags), "d"(0), [stack] "r"(stack)
		     : "rbx", "rcx", "r11", "memory");
	return result;
}

/* A place for a stack pointer, with no memory below. */
static void *no_room(void)
{
	char *place = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	mprotect(place, 4096, PROT_NONE);
	return place + 4096 + 64;
}

static void *opens_for_ever(void *path)
{
	open_with_stack(path, O_RDONLY, no_room());
	return NULL;
}

/* A thread waits in open(2) of a FIFO under the tree's path, without room below its stack; the others go on. */
static int waiting_open(void)
{
	static char held[2 << 20], other[2 << 20], path[256], link[32];
	char *open_files;
	pthread_t thread;

	sprintf(link, "/proc/self/fd/%d", open_queue());
	if (readlink(link, path, sizeof path - 16) < 0)
		return 1;
	if (!(open_files = strstr(path, "/open/")))
		return 77; /* nothing is redirected */
	strcpy(open_files, "/dev/dsa/fifo");
	if (mkfifo(path, 0600) || pthread_create(&thread, NULL, opens_for_ever, "/dev/dsa/fifo"))
		return 2;
	sleep_for(0.05);
	for (int i = 0; i < 3; i++) {
		int file = open_with_stack("/dev/dsa/wq0.0", O_RDWR | O_CREAT | O_TRUNC, no_room());

		if (file < 0)
			return 3;
		munmap(map_portal(file), 4096);
	}
	if (open_with_stack("/dev/dsa/wq9.9", O_RDWR, no_room()) != -ENOENT)
		return 4;
	return move(portal, held, other, sizeof held) == 1 && signal(SIGSEGV, SIG_IGN) == SIG_DFL ? 0 : 5;
}

/* Opens a device file where the stack pointer is close to what is not the stack's. */
static int small_stack(void)
{
	static char place[8192] __attribute__((aligned(4096)));

	memset(place, 0x5a, sizeof place);
	if (open_with_stack("/dev/dsa/wq0.0", O_RDWR, place + 4096 + 160) < 0)
		return 1;
	for (size_t i = 0; i < sizeof place; i++)
		if (place[i] != 0x5a)
			return 2;
	return 0;
}

int main(int count, char **words)
{
	struct { const char *name; int (*act)(void); } ways[] = {
		{ "path-only", path_only }, { "sealed", sealed }, { "through-proc", through_proc },
		{ "closed-meanwhile", closed_meanwhile }, { "other-stack", other_stack }, { "no-stack", no_stack },
		{ "handed-over", handed_over }, { "not-dumpable", not_dumpable }, { "without-privileges", without_privileges },
		{ "apart", apart }, { "leader-gone", leader_gone }, { "traced-child", traced_child },
		{ "endless-write", endless_write }, { "polled", polled }, { "long-names", long_names }, { "small-stack", small_stack },
		{ "waiting-open", waiting_open },
	};

	portal = open_portal();
	for (size_t i = 0; i < sizeof ways / sizeof *ways; i++)
		if (!strcmp(words[1], ways[i].name))
			return ways[i].act();
	return 99;
}
