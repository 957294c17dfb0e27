/* Submissions in a loop, while things happen that the replaced instruction must not be noticed by. */
#include "device.h"
#include <asm/prctl.h>
#include <dlfcn.h>
#include <linux/filter.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <setjmp.h>
#include <stddef.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <ucontext.h>

extern char __executable_start, etext;

static void *portal;
static volatile long handled, outside, wrong;
static sigjmp_buf back;
static volatile int jumping, over;
static int warm; /* threads that have submitted a thousand times */
static unsigned blocks = BLOCK_ON_FAULT;

/* RAX looks like a system call that is to be restarted: it stays so. */
static __attribute__((noinline)) int offer(void *to, const struct descriptor *d)
{
	unsigned char retry;
	long restart = -512;

	__asm__ volatile(".byte 0xf2, 0x0f, 0x38, 0xf8, 0x3e; setz %0" : "=r"(retry), "+a"(restart) : "D"(to), "S"(d) : "memory", "cc");
	return retry || restart != -512;
}

/* Moves of ``size`` bytes, each looked at. */
/* For moves that a signal handler jumps out of: nobody may jump out of malloc(3). */
static char *kept;

static void moves(long count, unsigned size)
{
	char *memory = kept ? kept : aligned_alloc(4096, 8192 + 2 * size);
	struct record *record = (void *)memory;
	char *source = memory + 4096, *target = source + size + 64;
	struct descriptor d = { .operation_and_flags = MOVE << 24 | blocks | RECORD_VALID | REQUEST_RECORD,
				.record = (uintptr_t)record, .source = (uintptr_t)source, .target = (uintptr_t)target, .size = size };

	memset(memory, 1, 8192 + 2 * size);
	for (long i = 0; i < count; i++) {
		memset(source, (char)i, size);
		record->status = 0;
		if (offer(portal, &d) || record->status != 1 || memcmp(source, target, size))
			wrong++;
	}
	if (!kept)
		free(memory);
}

static void on_alarm(int number, siginfo_t *info, void *context)
{
	ucontext_t *c = context;
	uintptr_t at = c->uc_mcontext.gregs[REG_RIP];

	handled++;
	/* Nothing of the program's lies within 2 GiB below it, and no library. */
	if (at < (uintptr_t)&__executable_start && at > (uintptr_t)&__executable_start - (1ul << 31))
		outside++;
	if (jumping)
		siglongjmp(back, 1);
}

static void alarms(long microseconds)
{
	struct sigaction action = { .sa_sigaction = on_alarm, .sa_flags = SA_SIGINFO | SA_RESTART };
	struct itimerval timer = { { 0, microseconds }, { 0, microseconds } };

	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &timer, NULL);
}

static void *some_moves(void *size)
{
	moves(300, (uintptr_t)size);
	return NULL;
}

static void threads(void)
{
	pthread_t thread[32];

	for (int i = 0; i < 32; i++)
		pthread_create(&thread[i], NULL, some_moves, (void *)(uintptr_t)(64 + i));
	for (int i = 0; i < 32; i++)
		pthread_join(thread[i], NULL);
}

static void in_children(void)
{
	moves(100, 64);
	for (int i = 0; i < 8; i++)
		if (!fork()) {
			int file = open("/dev/dsa/wq0.0", O_RDWR);

			portal = map_portal(file);
			moves(100, 64);
			_exit(wrong != 0);
		}
	moves(1000, 64);
	for (int status; wait(&status) > 0;)
		wrong += status != 0;
}

static void with_gs(void)
{
	static long mine[4] = { 1, 2, 3, 4 };
	unsigned long now = 0;

	moves(50, 64);
	syscall(SYS_arch_prctl, ARCH_SET_GS, mine);
	moves(50, 64);
	syscall(SYS_arch_prctl, ARCH_GET_GS, &now);
	wrong += now != (unsigned long)mine || mine[0] != 1 || mine[3] != 4;
}

/* Whatever pasidlab has mapped is unmapped: code near the program's, and the shared memory. */
static void without_ours(void)
{
	char line[512];
	FILE *maps;
	uintptr_t start, end, found[16][2];
	int count = 0;

	moves(50, 64);
	maps = fopen("/proc/self/maps", "r");
	while (fgets(line, sizeof(line), maps)) {
		sscanf(line, "%lx-%lx", &start, &end);
		if (strstr(line, "memfd:pasidlab") || (strstr(line, " r-xp 00000000 00:00 0 \n") && count < 16))
			found[count][0] = start, found[count++][1] = end;
	}
	fclose(maps);
	if (count < 2)
		wrong++;
	while (count--)
		munmap((void *)found[count][0], found[count][1] - found[count][0]);
	moves(50, 64);
}

static void long_jumps(void)
{
	moves(50, 64);
	kept = aligned_alloc(4096, 8192 + (2 << 16));
	for (volatile int i = 0; i < 200; i++)
		if (!sigsetjmp(back, 1))
			for (jumping = 1;;) /* not before there is a place to jump to */
				moves(10, 1 << 16);
	jumping = 0;
}

static void on_step(int number)
{
	handled++;
}

/* The processor traps after every instruction (EFLAGS.TF). */
static void step_by_step(void)
{
	moves(20, 64);
	signal(SIGTRAP, on_step);
	asm volatile("sub $128, %%rsp; pushfq; orl $0x100, (%%rsp); popfq; add $128, %%rsp" ::: "cc", "memory");
	moves(20, 64);
	asm volatile("sub $128, %%rsp; pushfq; andl $~0x100, (%%rsp); popfq; add $128, %%rsp" ::: "cc", "memory");
	wrong += handled < 1000;
	moves(20, 64);
}

/* Kills who makes a system call that pasidlab makes. */
static void filter(int all_threads)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, all_threads ? SYS_move_pages : SYS_mmap, 1, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_move_pages, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { 5, filter };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	    syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, all_threads ? SECCOMP_FILTER_FLAG_TSYNC : 0, &program))
		wrong++;
}

static void with_a_filter(void)
{
	moves(50, 64);
	filter(0);
	moves(50, 64);
}

static void *moves_until_over(void *size)
{
	for (long i = 0; !over; i++) {
		moves(50, (uintptr_t)size);
		__atomic_fetch_add(&warm, i == 20, __ATOMIC_SEQ_CST);
	}
	moves(20, (uintptr_t)size);
	return NULL;
}

/* The filter is for all threads, and comes while they submit. */
static void filtered_at_once(void)
{
	pthread_t thread[4];

	for (int i = 0; i < 4; i++)
		pthread_create(&thread[i], NULL, moves_until_over, (void *)(uintptr_t)(64 + 4096 * i));
	while (__atomic_load_n(&warm, __ATOMIC_SEQ_CST) < 4)
		usleep(1000);
	filter(1);
	over = 1;
	for (int i = 0; i < 4; i++)
		pthread_join(thread[i], NULL);
}

static char *taken;
enum { TAKEN = 6 * 4096 };

static void *takes_away(void *nothing)
{
	for (long i = 0; !over; i++) {
		char *page = taken + i % 6 * 4096;

		if (i / 6 % 2)
			madvise(page, 4096, MADV_DONTNEED);
		else
			mmap(page, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
		if (i % 7 == 0)
			mprotect(page, 4096, PROT_READ);
		usleep(200);
	}
	return nothing;
}

/* Another thread takes the pages away, and gives others: a descriptor succeeds, or meets a page fault, and nothing else happens. */
static void pages_taken_away(void)
{
	struct record *record = aligned_alloc(64, 64);
	long good = 0, faults = 0;
	pthread_t thread;
	char *source = memset(aligned_alloc(4096, TAKEN), 7, TAKEN);

	taken = mmap(NULL, TAKEN, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	pthread_create(&thread, NULL, takes_away, NULL);
	for (long i = 0; i < 3000; i++) {
		struct descriptor d = describe(MOVE, record, i % 2 ? source : taken, i % 2 ? taken : source, TAKEN);

		d.operation_and_flags &= ~BLOCK_ON_FAULT;
		record->status = 0;
		if (i % 4)
			madvise(taken, TAKEN, 23); /* MADV_POPULATE_WRITE */
		offer(portal, &d);
		good += record->status == 1;
		faults += (record->status & 0x7f) == 3;
	}
	over = 1;
	pthread_join(thread, NULL);
	wrong += good + faults != 3000 || !faults;
}

/* SIGKILL for children that submit. */
static void killed(void)
{
	moves(20, 64);
	for (int i = 0; i < 12; i++) {
		int status, child = fork();

		if (!child) {
			portal = map_portal(open("/dev/dsa/wq0.0", O_RDWR));
			for (;;)
				moves(1000, 1 << 14);
		}
		usleep(60000 + 1000 * i);
		kill(child, SIGKILL);
		waitpid(child, &status, 0);
		wrong += !WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL;
	}
	moves(80, 64);
}

/* A child in the same memory and without a tracer would have its parent's slot. */
static void untraced(void)
{
	static char stack[1 << 16];
	struct clone_args asked = { .flags = CLONE_VM | CLONE_UNTRACED, .exit_signal = SIGCHLD, .stack = (uintptr_t)stack,
				    .stack_size = sizeof stack };
	int child;

	moves(50, 64);
	child = syscall(SYS_clone3, &asked, sizeof asked);
	if (!child)
		_exit(0);
	wrong += child > 0 || errno != ENOSYS;
	if (!(child = vfork())) {
		enqcmd(portal, &(struct descriptor){ 0 });
		_exit(0);
	}
	waitpid(child, NULL, 0);
	moves(50, 64);
}

/* A stack of which 16 bytes are left, and all signals blocked. */
static void without_stack(void)
{
	char *page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct record *record = aligned_alloc(64, 64);
	static char source[64] = { 1 }, target[64] = { 1 };
	struct descriptor d = describe(MOVE, record, source, target, 64);
	sigset_t all;

	d.operation_and_flags = (d.operation_and_flags & ~BLOCK_ON_FAULT) | blocks;
	target[0] = source[0] = 2;
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, NULL);
	mprotect(page, 4096, PROT_NONE);
	for (int i = 0; i < 100; i++) {
		record->status = 0;
		memset(source, i, 64);
		asm volatile("mov %%rsp, %%rbx; lea 4112(%0), %%rsp; .byte 0xf2, 0x0f, 0x38, 0xf8, 0x3e; mov %%rbx, %%rsp"
			     :: "r"(page), "D"(portal), "S"(&d) : "rbx", "memory", "cc");
		wrong += record->status != 1 || memcmp(source, target, 64);
	}
}

/* No memory is left for what pasidlab would map. */
static void without_room(void)
{
	struct rlimit limit = { 1 << 20, 1 << 20 };

	moves(2, 64); /* its memory is there again */
	setrlimit(RLIMIT_AS, &limit);
	moves(50, 64);
}

static void *moves_for_ever(void *nothing)
{
	for (;;)
		moves(100, 1 << 12);
	return nothing;
}

static int in_a_child(void)
{
	int status = 1, child = fork();

	if (!child) {
		portal = map_portal(open("/dev/dsa/wq0.0", O_RDWR));
		moves(100, 64);
		_exit(wrong != 0);
	}
	waitpid(child, &status, 0);
	return status != 0;
}

/* execve(2) while other threads submit. The task that calls it may not submit again (pasid_activated), its child may. */
static void execs(const char *self)
{
	pthread_t thread;

	for (int i = 0; i < 4; i++)
		pthread_create(&thread, NULL, moves_for_ever, NULL);
	moves(100, 64);
	execl(self, self, "child", blocks ? NULL : "clear", NULL);
}

int main(int count, char **arguments)
{
	const char *what = arguments[1];

	if (count > 2) /* "clear": without block on fault */
		blocks = 0;
	portal = map_portal(open("/dev/dsa/wq0.0", O_RDWR));
	if (!strcmp(what, "signals")) {
		moves(20, 64);
		alarms(200);
		while (handled < 300)
			moves(5, blocks ? 1 << 20 : 1 << 16);
	} else if (!strcmp(what, "jumps")) {
		alarms(300);
		long_jumps();
	} else if (!strcmp(what, "threads")) {
		threads();
	} else if (!strcmp(what, "children")) {
		in_children();
	} else if (!strcmp(what, "gs")) {
		with_gs();
	} else if (!strcmp(what, "unmapped")) {
		without_ours();
	} else if (!strcmp(what, "steps")) {
		step_by_step();
	} else if (!strcmp(what, "filter")) {
		with_a_filter();
	} else if (!strcmp(what, "at once")) {
		filtered_at_once();
	} else if (!strcmp(what, "taken")) {
		pages_taken_away();
	} else if (!strcmp(what, "killed")) {
		killed();
	} else if (!strcmp(what, "untraced")) {
		untraced();
	} else if (!strcmp(what, "stack")) {
		without_stack();
	} else if (!strcmp(what, "room")) {
		without_room();
	} else if (!strcmp(what, "exec")) {
		execs(arguments[0]);
	} else if (!strcmp(what, "child")) {
		wrong += in_a_child();
	}
	signal(SIGALRM, SIG_IGN);
	printf("%ld wrong, %ld outside\n", wrong, outside);
	return 0;
}
