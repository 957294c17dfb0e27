/*
 * locked HOW DIRECTORY: what the kernel knows of the memory cannot be asked for, as a page of a file system of the program's own never comes.
 * HOW: fetch (it holds the system call instruction by which portals are mapped, where it can only be executed), maps (a thread waits for it
 * within mmap(2), which holds the lock of all mappings, when a descriptor completes). Another process submits meanwhile, and ends all with
 * status 3.
 */
#include "device.h"
#include <linux/fuse.h>
#include <sys/mount.h>

enum { SIZE = 1 << 16 };
typedef long (*system_call)(long number, ...);
/* mov rax,rdi; rdi,rsi; rsi,rdx; rdx,rcx; r10,r8; r8,r9; r9,[rsp+8]; syscall; ret */
static const unsigned char code[] = { 0x48, 0x89, 0xf8, 0x48, 0x89, 0xf7, 0x48, 0x89, 0xd6, 0x48, 0x89, 0xca, 0x4d, 0x89, 0xc2,
				      0x4d, 0x89, 0xc8, 0x4c, 0x8b, 0x4c, 0x24, 0x08, 0x0f, 0x05, 0xc3 };
static struct shared { volatile int direct, gives; } *shared;
static char path[4096], page[1 << 17];
static int channel, buffered, direct;
static char *mapped;

static void reply(uint64_t unique, int error, const void *body, size_t size)
{
	static char text[1 << 18];
	struct fuse_out_header head = { .len = sizeof head + size, .error = error, .unique = unique };

	memcpy(text, &head, sizeof head);
	memcpy(text + sizeof head, body, size);
	write(channel, text, head.len);
}

static void serve(void)
{
	static char request[1 << 18];
	struct fuse_in_header *head = (void *)request;
	struct fuse_init_out init = { .major = 7, .minor = 31, .max_readahead = SIZE, .max_write = SIZE };
	struct fuse_attr file = { .ino = 2, .nlink = 1, .blksize = 4096, .size = SIZE, .mode = S_IFREG | 0777 };
	struct fuse_attr root = { .ino = 1, .nlink = 1, .blksize = 4096, .mode = S_IFDIR | 0755 };
	struct fuse_entry_out entry = { .nodeid = 2, .generation = 1, .entry_valid = 9, .attr_valid = 9, .attr = file };
	struct fuse_attr_out attributes = { .attr_valid = 9 };
	struct fuse_open_out opened = { .fh = 1, .open_flags = shared->direct ? FOPEN_DIRECT_IO : FOPEN_KEEP_CACHE };

	if (read(channel, request, sizeof request) < (ssize_t)sizeof *head)
		_exit(0);
	attributes.attr = head->nodeid == 1 ? root : file;
	if (head->opcode == FUSE_INIT)
		reply(head->unique, 0, &init, sizeof init);
	else if (head->opcode == FUSE_LOOKUP)
		reply(head->unique, 0, &entry, sizeof entry);
	else if (head->opcode == FUSE_GETATTR)
		reply(head->unique, 0, &attributes, sizeof attributes);
	else if (head->opcode == FUSE_OPEN)
		reply(head->unique, 0, &opened, sizeof opened);
	else if (head->opcode == FUSE_READ && shared->gives)
		reply(head->unique, 0, page, ((struct fuse_read_in *)(head + 1))->size);
	else if (head->opcode == FUSE_FLUSH || head->opcode == FUSE_RELEASE)
		reply(head->unique, 0, NULL, 0);
	else if (head->opcode != FUSE_FORGET && head->opcode != FUSE_INTERRUPT && head->opcode != FUSE_READ)
		reply(head->unique, -ENOSYS, NULL, 0);
}

static pid_t serve_in_child(const char *directory)
{
	char options[128];
	pid_t child;

	shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	shared->gives = 1;
	for (int i = 0; i < sizeof page; i += 4096)
		memcpy(page + i, code, sizeof code);
	channel = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	sprintf(options, "fd=%d,rootmode=40000,user_id=%d,group_id=%d", channel, getuid(), getgid());
	sprintf(path, "%s/file", directory);
	if (unshare(CLONE_NEWNS) || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL))
		_exit(77);
	if (channel < 0 || mount("locked", directory, "fuse", MS_NOSUID | MS_NODEV, options))
		_exit(77);
	if (!(child = fork())) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			serve();
	}
	close(channel); /* else the end of the child would not be that of its file system */
	return child;
}

/* Submits while the first process cannot, then ends it, and the one that serves. */
static void other(pid_t server)
{
	char source[64], target[64];

	if (fork())
		return;
	sleep_for(0.5);
	if (move(open_portal(), source, target, 64) != 1)
		_exit(1);
	printf("other\n");
	fflush(stdout);
	kill(getppid(), SIGKILL);
	sleep_for(0.1);
	kill(server, SIGKILL);
	_exit(0);
}

static void *reads(void *unused)
{
	return (void *)(long)*(volatile char *)mapped;
}

static void *maps(void *unused)
{
	mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, direct, 0);
	return NULL;
}

int main(int count, char **words)
{
	pid_t server = serve_in_child(words[2]);
	static struct record record;
	static char source[64], target[64];
	struct descriptor descriptor = describe(MOVE, &record, source, target, 64);
	pthread_t thread;

	buffered = open(path, O_RDONLY);
	shared->direct = 1;
	direct = open(path, O_RDONLY);
	if (buffered < 0 || direct < 0)
		return 78;
	if (!strcmp(words[1], "fetch")) {
		system_call call = (system_call)mmap(NULL, 4096, PROT_EXEC, MAP_SHARED, buffered, 0);

		if (call(SYS_mmap, NULL, 4096, PROT_WRITE, MAP_SHARED, open_queue(), 0L) < 0)
			return 79;
		shared->gives = 0;
		madvise(call, 4096, MADV_DONTNEED);
		posix_fadvise(buffered, 0, 0, POSIX_FADV_DONTNEED);
		other(server);
		munmap((void *)0x7ED500000000, 4096); /* a page of pasidlab's, which needs another */
	} else {
		void *portal = open_portal();

		mapped = mmap(NULL, SIZE, PROT_READ, MAP_SHARED, buffered, 0);
		shared->gives = 0;
		other(server);
		submit(portal, &descriptor);
		pthread_create(&thread, NULL, reads, NULL);
		sleep_for(0.05);
		pthread_create(&thread, NULL, maps, NULL);
	}
	for (;;)
		pause();
}
