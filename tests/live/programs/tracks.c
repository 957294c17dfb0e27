/* tracks: memory whose writes a userfaultfd tracks without anybody waiting (UFFD_FEATURE_WP_ASYNC). 0 if the device writes there. */
#include "device.h"
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>

enum { SIZE = 4 << 20, ASYNCHRONOUS = 1 << 15, USER_MODE_ONLY = 1 };

int main(void)
{
	static char source[SIZE];
	void *portal = open_portal();
	char *place = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int file = syscall(SYS_userfaultfd, O_CLOEXEC | USER_MODE_ONLY);
	struct uffdio_api api = { .api = UFFD_API, .features = ASYNCHRONOUS };
	struct uffdio_register area = { .range = { (uintptr_t)place, SIZE }, .mode = UFFDIO_REGISTER_MODE_WP };
	struct uffdio_writeprotect protect = { area.range, UFFDIO_WRITEPROTECT_MODE_WP };

	memset(place, 1, SIZE);
	memset(source, 2, SIZE);
	if (file < 0 || ioctl(file, UFFDIO_API, &api) || ioctl(file, UFFDIO_REGISTER, &area))
		return 77;
	ioctl(file, UFFDIO_WRITEPROTECT, &protect);
	if (move(portal, source, place, 64) != 1 || move(portal, source, place, SIZE) != 1)
		return 1;
	return memcmp(source, place, SIZE) != 0;
}
