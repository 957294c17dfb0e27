/*
 * held DIRECTORY: two threads have the lock of all mappings in turn (mmap_lock), a second each time: within mmap(2) of a file in DIRECTORY,
 * a file system of the program's own, of which a page is just being read. A third installs a seccomp filter, before which pasidlab makes
 * a page of code in the program. Another process submits meanwhile: 0 if none of its submissions takes more than 0.8 seconds.
 */
#include "device.h"
#include <linux/filter.h>
#include <linux/fuse.h>
#include <linux/seccomp.h>
#include <sys/mount.h>

enum { PAGES = 64, SIZE = PAGES * 4096 };
static struct shared { volatile int asked[2], late, done; } *shared;
static volatile int wanted[2]; /* pages, by the file */
static char path[2][4096];
static int channel;

static void reply(uint64_t unique, int error, const void *body, size_t size)
{
	static char text[1 << 18];
	struct fuse_out_header head = { .len = sizeof head + size, .error = error, .unique = unique };

	memcpy(text, &head, sizeof head);
	memcpy(text + sizeof head, body, size);
	write(channel, text, head.len);
}

/* Files "0" and "1", which are not cached where they are opened for reading and writing. A page comes two seconds after it was asked for. */
static void serve(void)
{
	static char request[1 << 18], page[1 << 18];
	struct fuse_in_header *head = (void *)request;
	struct fuse_init_out init = { .major = 7, .minor = 31, .max_write = 1 << 16 };
	struct fuse_attr attr = { .ino = head->nodeid, .nlink = 1, .blksize = 4096 };
	struct fuse_open_out opened = { .fh = 1 };

	if (read(channel, request, sizeof request) < (ssize_t)sizeof *head)
		_exit(0);
	if (head->opcode == FUSE_LOOKUP)
		head->nodeid = 2 + (*(char *)(head + 1) == '1');
	attr.ino = head->nodeid;
	attr.size = head->nodeid == 1 ? 0 : SIZE;
	attr.mode = head->nodeid == 1 ? S_IFDIR | 0755 : S_IFREG | 0777;
	struct fuse_entry_out entry = { .nodeid = head->nodeid, .generation = 1, .entry_valid = 9, .attr_valid = 9, .attr = attr };
	struct fuse_attr_out attributes = { .attr_valid = 9, .attr = attr };

	if (head->opcode == FUSE_INIT)
		reply(head->unique, 0, &init, sizeof init);
	else if (head->opcode == FUSE_LOOKUP)
		reply(head->unique, 0, &entry, sizeof entry);
	else if (head->opcode == FUSE_GETATTR)
		reply(head->unique, 0, &attributes, sizeof attributes);
	else if (head->opcode == FUSE_OPEN) {
		opened.open_flags = (((struct fuse_open_in *)(head + 1))->flags & O_ACCMODE) == O_RDWR ? FOPEN_DIRECT_IO : FOPEN_KEEP_CACHE;
		reply(head->unique, 0, &opened, sizeof opened);
	} else if (head->opcode == FUSE_READ) {
		shared->asked[head->nodeid - 2]++;
		for (double end = now() + 2; now() < end && shared->late;)
			sleep_for(0.01);
		reply(head->unique, 0, page, ((struct fuse_read_in *)(head + 1))->size);
	} else if (head->opcode == FUSE_FLUSH || head->opcode == FUSE_RELEASE)
		reply(head->unique, 0, NULL, 0);
	else if (head->opcode != FUSE_FORGET && head->opcode != FUSE_INTERRUPT)
		reply(head->unique, -ENOSYS, NULL, 0);
}

static void serve_in_children(const char *directory)
{
	char options[128];

	shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	channel = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	sprintf(options, "fd=%d,rootmode=40000,user_id=%d,group_id=%d", channel, getuid(), getgid());
	for (int i = 0; i < 2; i++)
		sprintf(path[i], "%s/%d", directory, i);
	if (unshare(CLONE_NEWNS) || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL))
		_exit(77);
	if (channel < 0 || mount("held", directory, "fuse", MS_NOSUID | MS_NODEV, options))
		_exit(77);
	for (int i = 0; i < 4; i++) /* a read keeps one of them busy */
		if (!fork()) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			for (;;)
				serve();
		}
	close(channel);
}

static void *reads(void *number)
{
	long i = (long)number;
	char *pages = mmap(NULL, SIZE, PROT_READ, MAP_SHARED, open(path[i], O_RDONLY), 0);

	madvise(pages, SIZE, MADV_RANDOM);
	for (int k = 0;; k++) {
		while (wanted[i] <= k)
			sleep_for(0.001);
		(void)*(volatile char *)(pages + k % PAGES * 4096);
	}
}

static void *has_lock(void *number)
{
	long i = (long)number;
	int file = open(path[i], O_RDWR);

	sleep_for(i);
	while (shared->late) {
		int before = shared->asked[i];

		wanted[i]++;
		while (shared->asked[i] == before && shared->late)
			sleep_for(0.001);
		mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, file, 0); /* waits in invalidate_inode_pages2() */
	}
	return NULL;
}

/* Returns the longest time that a submission took. */
static double submits_till_done(void)
{
	static char source[64], target[64];
	void *portal = open_portal();
	double longest = 0;

	while (!shared->done) {
		double began = now();

		if (move(portal, source, target, 64) != 1)
			return 99;
		if (now() - began > longest)
			longest = now() - began;
		sleep_for(0.01);
	}
	return longest;
}

int main(int count, char **words)
{
	struct sock_filter allow = { .code = BPF_RET | BPF_K, .k = SECCOMP_RET_ALLOW };
	struct sock_fprog filter = { .len = 1, .filter = &allow };
	pthread_t thread;
	int status;
	pid_t other;

	serve_in_children(words[1]);
	open_portal();
	shared->late = 1;
	other = fork();
	if (!other)
		_exit(submits_till_done() > 0.8);
	for (long i = 0; i < 2; i++)
		pthread_create(&thread, NULL, reads, (void *)i);
	for (long i = 0; i < 2; i++)
		pthread_create(&thread, NULL, has_lock, (void *)i);
	sleep_for(2.5);
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter))
		_exit(78);
	shared->done = 1;
	waitpid(other, &status, 0);
	shared->late = 0;
	_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 79);
}
