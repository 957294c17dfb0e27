/*
 * mounts HOW DIRECTORY: a descriptor's source is a file of a file system of the program's own. HOW: itself (the thread that
 * submits serves it afterwards), never (a child serves everything but its data; the program ends meanwhile, with status 3), dumps (with
 * such a child the program dumps core, of this file too).
 */
#include "device.h"
#include <linux/fuse.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>

enum { SIZE = 1 << 16 };
static int channel, gives = 1, file = -1;
static char page[1 << 17], path[4096];

static void reply(uint64_t unique, int error, const void *body, size_t size)
{
	static char text[1 << 17];
	struct fuse_out_header head = { .len = sizeof head + size, .error = error, .unique = unique };

	memcpy(text, &head, sizeof head);
	memcpy(text + sizeof head, body, size);
	if (write(channel, text, head.len) < 0 && errno != ENOENT)
		_exit(89);
}

static void describe_node(struct fuse_attr *attributes, uint64_t node)
{
	*attributes = (struct fuse_attr){ .ino = node, .nlink = 1, .blksize = 4096, .size = node == 1 ? 0 : SIZE,
					  .mode = node == 1 ? S_IFDIR | 0755 : S_IFREG | 0666 };
}

/* Answers a request, if there is one. */
static void serve(void)
{
	static char request[1 << 18];
	struct fuse_in_header *head = (void *)request;
	struct fuse_init_out init = { .major = 7, .minor = 31, .max_readahead = SIZE, .max_write = SIZE };
	struct fuse_entry_out entry = { .nodeid = 2, .generation = 1, .entry_valid = 9, .attr_valid = 9 };
	struct fuse_attr_out attributes = { .attr_valid = 9 };
	struct fuse_open_out opened = { .fh = 1 };

	if (read(channel, request, sizeof request) < (ssize_t)sizeof *head)
		return;
	describe_node(&entry.attr, 2);
	describe_node(&attributes.attr, head->nodeid);
	switch (head->opcode) {
	case FUSE_INIT:
		reply(head->unique, 0, &init, sizeof init);
		break;
	case FUSE_LOOKUP:
		reply(head->unique, 0, &entry, sizeof entry);
		break;
	case FUSE_GETATTR:
		reply(head->unique, 0, &attributes, sizeof attributes);
		break;
	case FUSE_OPEN:
		reply(head->unique, 0, &opened, sizeof opened);
		break;
	case FUSE_READ:
		if (gives)
			reply(head->unique, 0, page, ((struct fuse_read_in *)(head + 1))->size);
		break;
	case FUSE_FLUSH:
	case FUSE_RELEASE:
		reply(head->unique, 0, NULL, 0);
		break;
	case FUSE_FORGET:
	case FUSE_INTERRUPT:
		break;
	default:
		reply(head->unique, -ENOSYS, NULL, 0);
	}
}

static void *opens(void *unused)
{
	file = open(path, O_RDONLY);
	return NULL;
}

static void *closes(void *unused)
{
	close(file);
	file = -1;
	return NULL;
}

static void mount_ours(const char *directory)
{
	char options[128];

	if (unshare(CLONE_NEWNS) || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL))
		_exit(77);
	channel = open("/dev/fuse", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	sprintf(options, "fd=%d,rootmode=40000,user_id=%d,group_id=%d", channel, getuid(), getgid());
	sprintf(path, "%s/file", directory);
	if (channel < 0 || mount("mounts", directory, "fuse", MS_NOSUID | MS_NODEV, options))
		_exit(77);
}

static void dump(void)
{
	struct rlimit all = { RLIM_INFINITY, RLIM_INFINITY };
	int filter = open("/proc/self/coredump_filter", O_WRONLY);

	if (mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE, file, 0) == MAP_FAILED || write(filter, "0xff", 4) != 4)
		_exit(88);
	setrlimit(RLIMIT_CORE, &all);
	printf("dumps\n");
	fflush(stdout);
	abort();
}

int main(int count, char **words)
{
	int dumps = !strcmp(words[1], "dumps"), never = dumps || !strcmp(words[1], "never");
	static struct record record;
	static char target[SIZE];
	pthread_t thread;
	pid_t child = 0;

	memset(page, 'm', sizeof page);
	mount_ours(words[2]);
	void *portal = open_portal();
	gives = !never;
	if (never && !(child = fork()))
		for (open_portal(), dumps && setsid();; sleep_for(0.001)) /* no signal for the group reaches it */
			serve();
	if (child)
		close(channel); /* else the end of the child would not be that of its file system */
	pthread_create(&thread, NULL, opens, NULL);
	while (file < 0) {
		if (!child)
			serve();
		sleep_for(0.001);
	}
	pthread_join(thread, NULL);
	if (dumps)
		dump();
	char *source = mmap(NULL, SIZE, PROT_READ, MAP_SHARED, file, 0);
	struct descriptor descriptor = describe(MOVE, &record, source, target, 4096);
	submit(portal, &descriptor);
	if (child) {
		sleep_for(0.1);
		int early = record.status; /* after the kill the read fails, and the fault is written at any moment */
		kill(child, SIGKILL);
		_exit(early ? 1 : 3);
	}
	for (double end = now() + 5; !record.status && now() < end; sleep_for(0.001))
		serve();
	munmap(source, SIZE);
	pthread_create(&thread, NULL, closes, NULL);
	for (double end = now() + 5; file >= 0 && now() < end; sleep_for(0.001))
		serve();
	_exit(record.status == 1 && target[4095] == 'm' ? 3 : 2);
}
