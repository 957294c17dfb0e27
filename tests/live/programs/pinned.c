/*
 * pinned: submissions that trap do not change where a thread may run, as the program sees it: not what sched_getaffinity(2) tells, not
 * what was set with sched_setaffinity(2), by the thread or for it, not what children of fork, vfork and clone have. 0 if so, 77 where
 * there is one processor only.
 */
#include "device.h"

static volatile int other, over;
enum { ROUNDS = 60, SETS = 300, FIRST = 20, MORE = 3 }; /* submissions: so many in a row before a thread is moved */

static void *portal;
static cpu_set_t all;

static void submit_often(int times)
{
	struct record record = { 0 };
	struct descriptor descriptor = describe(2, &record, NULL, NULL, 0); /* drain: it always traps */

	for (int i = 0; i < times; i++)
		submit(portal, &descriptor);
}

static int differs(const cpu_set_t *wanted)
{
	cpu_set_t now;

	CPU_ZERO(&now);
	sched_getaffinity(0, sizeof now, &now);
	return !CPU_EQUAL(&now, wanted);
}

static int child_differs(long number)
{
	int status;
	pid_t child;

	submit_often(MORE);
	child = number == SYS_vfork ? vfork() : syscall(number, number == SYS_clone ? SIGCHLD : 0, 0, 0, 0, 0);
	if (!child)
		_exit(differs(&all));
	waitpid(child, &status, 0);
	return status != 0;
}

static void *submits(void *unused)
{
	other = syscall(SYS_gettid);
	while (!over)
		submit_often(MORE);
	return unused;
}

/* How often another thread that submits has not got what was set for it. */
static int set_for_another(void)
{
	pthread_t thread;
	int wrong = 0;

	pthread_create(&thread, NULL, submits, NULL);
	sleep_for(0.1);
	for (int i = 0; i < SETS; i++) {
		cpu_set_t now, one = all;

		for (int cpu = 0; CPU_COUNT(&one) > 1 && i % 2; cpu++) /* the lowest and the highest in turn */
			CPU_CLR(i & 2 ? cpu : CPU_SETSIZE - 1 - cpu, &one);
		sched_setaffinity(other, sizeof one, &one);
		sleep_for(0.002);
		CPU_ZERO(&now);
		sched_getaffinity(other, sizeof now, &now);
		wrong += !CPU_EQUAL(&now, &one);
	}
	over = 1;
	pthread_join(thread, NULL);
	return wrong;
}

int main(void)
{
	int told = 0, lost = 0, inherited = 0;

	portal = open_portal();
	sched_getaffinity(0, sizeof all, &all);
	if (CPU_COUNT(&all) < 2)
		return 77;
	submit_often(FIRST);
	for (int i = 0; i < ROUNDS; i++) {
		cpu_set_t one;
		int cpu = -1;

		submit_often(MORE);
		told += differs(&all);
		for (int n = i % 2; n >= 0; n--)
			do
				cpu++;
			while (!CPU_ISSET(cpu, &all));
		CPU_ZERO(&one);
		CPU_SET(cpu, &one);
		submit_often(MORE);
		sched_setaffinity(0, sizeof one, &one);
		sched_yield();
		lost += differs(&one);
		sched_setaffinity(0, sizeof all, &all);
		inherited += child_differs(SYS_fork) + child_differs(SYS_vfork) + child_differs(SYS_clone);
	}
	lost += set_for_another();
	if (told + lost + inherited)
		printf("told %d, lost %d, inherited %d\n", told, lost, inherited);
	return told + lost + inherited > 0;
}
