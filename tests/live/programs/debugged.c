/* debugged WAY [SIGNAL THREADS]: what a debugger looks at. The fourth of six moves asks for a flag that a move does not have. */
#include "device.h"
#include <limits.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <sys/ioctl.h>

static volatile int counter, turns;

__attribute__((noinline)) int submits(void *portal, int number)
{
	static struct record record;
	static char source[64], target[64];
	struct descriptor d = describe(MOVE, &record, source, target, 64);

	if (number == 3)
		d.operation_and_flags |= 0x80;
	record.status = 0;
	submit(portal, &d);
	return record.status;
}

__attribute__((noinline)) void turn(void)
{
	__sync_fetch_and_add(&turns, 1);
}

static void *counts(void *nothing)
{
	for (;;) {
		counter++;
		sleep_for(0.001);
	}
	return nothing;
}

static int often = 10;

static void *turns_often(void *nothing)
{
	for (int i = 0; i < often; i++)
		turn();
	return nothing;
}

static struct shared {
	volatile int file, waits, serve;
} *shared;
static char *page;

/* In a process of its own: tells when the page is waited for, and serves it when it is told to. */
static void serves(void)
{
	struct uffdio_zeropage zero = { .range = { (uintptr_t)page, 4096 } };
	struct pollfd asked = { .events = POLLIN };

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	while (!shared->file)
		sleep_for(0.001);
	asked.fd = syscall(438, syscall(434, getppid(), 0), shared->file, 0); /* pidfd_getfd, pidfd_open */
	poll(&asked, 1, 20000);
	shared->waits = 1;
	while (!shared->serve)
		sleep_for(0.001);
	ioctl(asked.fd, UFFDIO_ZEROPAGE, &zero);
	for (;;)
		pause(); /* its end would be a signal */
}

static void *turns_when_it_waits(void *nothing)
{
	while (!shared->waits)
		sleep_for(0.001);
	turn();
	return nothing;
}

/* Submits from a page that another process serves, to a portal or to ordinary memory, which never accepts. */
static void waits_for_a_page(int ordinary)
{
	static char memory[64] __attribute__((aligned(64)));
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register area = { .mode = UFFDIO_REGISTER_MODE_MISSING };
	pthread_t thread;
	void *portal;
	int file;

	shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY);
	if (!fork())
		serves();
	file = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	if (file < 0)
		file = ioctl(open("/dev/userfaultfd", O_RDWR | O_CLOEXEC), USERFAULTFD_IOC_NEW, O_CLOEXEC | O_NONBLOCK);
	area.range = (struct uffdio_range){ (uintptr_t)page, 4096 };
	if (file < 0 || ioctl(file, UFFDIO_API, &api) || ioctl(file, UFFDIO_REGISTER, &area))
		_exit(77);
	portal = open_portal();
	shared->file = file;
	pthread_create(&thread, NULL, turns_when_it_waits, NULL);
	enqcmd(ordinary ? memory : portal, (struct descriptor *)page);
	sleep_for(0.05);
	counter = 1;
	pthread_join(thread, NULL);
}

static void in_threads(void)
{
	pthread_t thread[4];

	for (int i = 0; i < 4; i++)
		pthread_create(&thread[i], NULL, turns_often, NULL);
	for (int i = 0; i < 4; i++)
		pthread_join(thread[i], NULL);
}

static volatile int handled;
static pthread_barrier_t together;

static void counts_signals(int number)
{
	(void)number;
	__sync_fetch_and_add(&handled, 1);
}

static void *raises(void *number)
{
	pthread_barrier_wait(&together);
	raise((int)(intptr_t)number);
	return NULL;
}

/* Each thread has the signal. A process that has stopped goes on after the handler of SIGCONT. */
static void signals_in_threads(int number, int threads)
{
	pthread_t thread[8];

	signal(SIGUSR1, counts_signals);
	signal(SIGCONT, counts_signals);
	pthread_barrier_init(&together, NULL, threads);
	for (int i = 0; i < threads; i++)
		pthread_create(&thread[i], NULL, raises, (void *)(intptr_t)number);
	for (int i = 0; i < threads; i++)
		pthread_join(thread[i], NULL);
	printf("%d handled\n", handled);
}

int main(int count, char **words)
{
	pthread_t thread;
	void *portal;
	int status = 0;

	(void)count;
	if (!strcmp(words[1], "threads")) {
		in_threads();
		printf("%d turns\n", turns);
		return 0;
	}
	while (!strcmp(words[1], "vforks")) { /* as vfork(2), but the end of the child is no signal, and it has memory of its own */
		if (!syscall(SYS_clone, CLONE_VFORK, 0, 0, 0, 0)) {
			usleep(300000);
			_exit(0);
		}
		waitpid(-1, NULL, __WALL);
	}
	if (!strcmp(words[1], "turns")) {
		often = INT_MAX;
		in_threads();
	}
	if (!strcmp(words[1], "signals")) {
		signals_in_threads(atoi(words[2]), atoi(words[3]));
		return 0;
	}
	if (!strcmp(words[1], "page")) {
		waits_for_a_page(!strcmp(words[2], "ordinary"));
		return 0;
	}
	if (!strcmp(words[1], "fork")) { /* the child has the parent's text */
		if (!fork()) {
			turn();
			_exit(5);
		}
		wait(&status);
		printf("child %d\n", WEXITSTATUS(status));
		return 0;
	}
	if (!strcmp(words[1], "signal")) {
		signal(SIGUSR1, SIG_IGN);
		raise(SIGUSR1);
		*(volatile int *)8 = 1;
	}
	pthread_create(&thread, NULL, counts, NULL);
	if (!strcmp(words[1], "waits"))
		pause();
	portal = open_portal();
	for (int i = 0; i < 6; i++)
		status = status * 4 + (submits(portal, i) & 3);
	printf("%d\n", status);
	return 7;
}
