/* Signals, tracers and core dumps: registers in memory, which others may write. */
#include "activities.h"

#include <elf.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

static volatile int depth, damage;

/* Nested, and may damage the frame that it returns through: SIGSEGV follows. */
static void handler(int number, siginfo_t *info, void *context)
{
	ucontext_t *frame = context;
	char *registers = (char *)frame->uc_mcontext.fpregs;

	(void)number, (void)info;
	vectors();
	if (depth < 3 && below(2)) {
		depth++;
		raise(SIGUSR1);
		depth--;
	}
	if (damage == 1)
		frame->uc_mcontext.fpregs = NULL;
	if (damage == 2)
		frame->uc_mcontext.fpregs = (void *)PAGE;
	if (damage == 3 && registers)
		memset(registers + 24, 0xff, 4); /* mxcsr */
	if (damage == 4 && registers)
		memset(registers + 464, 0, 4); /* the magic number before xstate */
}

static void handle(int number)
{
	struct sigaction action = { .sa_sigaction = handler, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER };

	sigaction(number, &action, NULL);
}

void signals(void)
{
	char *room;
	pid_t child;
	int i;

	while (more()) {
		child = fork();
		if (!child) {
			no_core();
			room = mmap(NULL, 16 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
			sigaltstack(&(stack_t){ .ss_sp = room, .ss_size = 16 * PAGE }, NULL);
			handle(SIGUSR1);
			if (below(2))
				handle(SIGSEGV);
			if (!below(4))
				mprotect(room, 16 * PAGE, PROT_READ); /* no frame can be written */
			for (i = 0; i < 20; i++) {
				damage = below(3) ? 0 : below(5);
				vectors();
				raise(SIGUSR1);
			}
			_exit(0);
		}
		usleep(below(2000));
		end_of(child); /* a handler of SIGSEGV may be called for ever */
	}
}

static void *is_traced(void *arg)
{
	pid_t child;

	while (more()) {
		vectors();
		if (!below(100)) {
			child = fork();
			if (!child)
				execv(SELF, nothing), _exit(1);
			reap(child);
		}
		if (!below(20))
			raise(SIGUSR1);
	}
	return arg;
}

/* Registers are read and written, also wrong ones. */
static void change(pid_t child)
{
	static char image[4 * PAGE];
	struct iovec all = { image, sizeof(image) }, part = { image, 100 };

	if (ptrace(PTRACE_GETREGSET, child, NT_X86_XSTATE, &all))
		return;
	if (below(2))
		ptrace(PTRACE_SETREGSET, child, NT_X86_XSTATE, &all);
	if (below(2) && !ptrace(PTRACE_GETFPREGS, child, 0, image))
		ptrace(PTRACE_SETFPREGS, child, 0, image);
	ptrace(PTRACE_SETREGSET, child, NT_PRFPREG, &part);
}

static void trace(pid_t child)
{
	const long options = PTRACE_O_TRACEFORK | PTRACE_O_TRACECLONE | (below(2) ? PTRACE_O_TRACEEXEC | PTRACE_O_TRACEEXIT : 0);
	int status, number, i;
	pid_t one;

	ptrace(PTRACE_SEIZE, child, 0, options);
	ptrace(PTRACE_INTERRUPT, child, 0, 0);
	for (i = 0; i < 100 && more() && (one = waitpid(-1, &status, __WALL)) > 0; i++) {
		if (!WIFSTOPPED(status))
			continue;
		change(one);
		number = WSTOPSIG(status) == SIGUSR1 && below(2) ? SIGUSR1 : 0;
		ptrace(below(2) ? PTRACE_SYSCALL : PTRACE_SINGLESTEP, one, 0, number);
	}
}

/* A tracer that ends, and leaves its task behind. */
void ptraces(void)
{
	pid_t child, tracer;

	handle(SIGUSR1);
	while (more()) {
		child = fork();
		if (!child) {
			thread(is_traced, NULL);
			is_traced(NULL);
			_exit(0);
		}
		tracer = fork();
		if (!tracer) {
			alarm(1);
			trace(child);
			_exit(0);
		}
		reap(tracer);
		end_of(child);
	}
}

void timers(void)
{
	const struct itimerval often = { { 0, 300 }, { 0, 300 } };

	handle(SIGALRM);
	handle(SIGPROF);
	setitimer(ITIMER_REAL, &often, NULL);
	setitimer(ITIMER_PROF, &often, NULL);
	computes(NULL);
}

/* Core dumps, the task's own and those of threads beside it, into a file that is gone. */
void dumps(void)
{
	struct rlimit all = { RLIM_INFINITY, RLIM_INFINITY };
	char folder[] = "/tmp/activities-XXXXXX", name[32];
	pid_t child;

	if (!mkdtemp(folder) || chdir(folder))
		return;
	while (more()) {
		child = fork();
		if (!child) {
			setrlimit(RLIMIT_CORE, &all);
			thread(computes, NULL);
			vectors();
			abort();
		}
		reap(child);
		snprintf(name, sizeof(name), "core.%d", child);
		unlink(name);
		unlink("core");
		usleep(20000);
	}
	rmdir(folder);
}
