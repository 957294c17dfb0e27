/*
 * reopens: a device file is had a second time in every way there is. Each of both goes on working when the other is closed, and what is mapped
 * when both are. 0 if so, else the number of the first way that failed.
 */
#include "device.h"
#include <sys/socket.h>

enum { AGAIN = 10 }; /* ways from here on are no more opens */
static char source[64] = "x", target[64];
static char link_of_ours[64];

static int open_named(const char *format, int file)
{
	char path[64];

	sprintf(path, format, file);
	return open(path, O_RDWR | O_CLOEXEC);
}

static int passed(int file)
{
	char room[CMSG_SPACE(sizeof file)] = { 0 }, byte = 0;
	struct iovec bytes = { &byte, 1 };
	struct msghdr message = { .msg_iov = &bytes, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof room };
	struct cmsghdr *head = CMSG_FIRSTHDR(&message);
	int pair[2];

	*head = (struct cmsghdr){ CMSG_LEN(sizeof file), SOL_SOCKET, SCM_RIGHTS };
	memcpy(CMSG_DATA(head), &file, sizeof file);
	socketpair(AF_UNIX, SOCK_DGRAM, 0, pair);
	sendmsg(pair[0], &message, 0);
	recvmsg(pair[1], &message, 0);
	memcpy(&file, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof file);
	close(pair[0]);
	close(pair[1]);
	return file;
}

static int in_directory(int file, int change)
{
	char name[16];
	int directory = open("/proc/self/fd", O_RDONLY | O_DIRECTORY), here = open(".", O_RDONLY), found;

	sprintf(name, "%d", file);
	if (change)
		fchdir(directory);
	found = openat(change ? AT_FDCWD : directory, name, O_RDWR);
	fchdir(here);
	close(directory);
	close(here);
	return found;
}

static int by_link(int file)
{
	char path[64];
	int found;

	sprintf(path, "/dev/fd/%d", file);
	unlink(link_of_ours);
	symlink(path, link_of_ours);
	found = open(link_of_ours, O_RDWR);
	unlink(link_of_ours);
	return found;
}

/* A second descriptor; -1 if there are no more ways, or it cannot be had. */
static int second(int way, int file)
{
	char path[64];

	switch (way) {
	case 1: return open_named("/proc/self/fd/%d", file);
	case 2: return open_named("/dev/fd/%d", file);
	case 3: return open_named("/proc/thread-self/fd/%d", file);
	case 4: sprintf(path, "/proc/%d/fd/%%d", getpid()); return open_named(path, file);
	case 5: sprintf(path, "/proc/%d/task/%d/fd/%%d", getpid(), gettid()); return open_named(path, file);
	case 6: return in_directory(file, 0);
	case 7: return in_directory(file, 1);
	case 8: return by_link(file);
	case 9: return syscall(SYS_openat2, AT_FDCWD, (sprintf(path, "/proc/./self/fd/%d", file), path), &(uint64_t[3]){ O_RDWR }, 24);
	case AGAIN: return dup(file);
	case AGAIN + 1: return dup2(file, 100);
	case AGAIN + 2: return dup3(file, 101, O_CLOEXEC);
	case AGAIN + 3: return fcntl(file, F_DUPFD, 102);
	case AGAIN + 4: return passed(file);
	case AGAIN + 5: return syscall(SYS_pidfd_getfd, syscall(SYS_pidfd_open, getpid(), 0), file, 0);
	}
	return -1;
}

static int works(int file)
{
	void *portal = mmap(NULL, 4096, PROT_WRITE, MAP_SHARED, file, 0);
	int status = portal == MAP_FAILED ? -1 : move(portal, source, target, 64);

	munmap(portal, 4096);
	return status == 1;
}

/* Another process has its own by the name of ours: that is bound to its own memory, and ours goes on. */
static int works_elsewhere(int file)
{
	char path[64];
	int status;

	sprintf(path, "/proc/%d/fd/%d", getpid(), file);
	if (!fork())
		_exit(!works(open(path, O_RDWR)));
	wait(&status);
	sleep_for(0.05);
	return !status && works(file);
}

int main(void)
{
	sprintf(link_of_ours, "/tmp/reopens-%d", getpid());
	for (int way = 1; way < AGAIN + 6; way++)
		for (int first = 0; first < 2; first++) {
			int file = open_queue(), other = second(way, file), kept = first ? other : file;

			if (other < 0 || !works(file) || !works(other))
				return way;
			close(first ? file : other);
			sleep_for(0.02);
			if (!works(kept))
				return way;
			void *portal = map_portal(kept);
			close(kept);
			sleep_for(0.02);
			if (move(portal, source, target, 64) != 1)
				return way;
			munmap(portal, 4096);
		}
	return works_elsewhere(open_queue()) ? 0 : 99;
}
