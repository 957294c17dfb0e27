/*
 * elsewhere HOW DIRECTORY: the device file is used under another name. HOW: bound (its directory is mounted elsewhere), alone (the
 * file itself is), jailed (after chroot(2)), unmounted (it has no name any more).
 */
#include "device.h"
#include <sys/mount.h>
#include <sys/stat.h>

static void bind_to(const char *source, const char *target, unsigned long more)
{
	if (mount(source, target, NULL, MS_BIND | more, NULL))
		_exit(77); /* under redirection there is nothing to be mounted */
}

static int use(int file)
{
	static char source[64] = "moved", target[64];

	if (file < 0)
		return 2;
	return move(map_portal(file), source, target, 64) != 1 || strcmp(target, "moved");
}

int main(int count, char **words)
{
	const char *how = words[1], *place = words[2];
	char name[4096];

	if (unshare(CLONE_NEWNS) || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) || mount("none", place, "tmpfs", 0, NULL))
		return 77;
	sprintf(name, "%s/dev", place);
	if (!strcmp(how, "alone")) {
		close(open(name, O_CREAT | O_RDWR, 0600));
		bind_to("/dev/dsa/wq0.0", name, 0);
		return use(open(name, O_RDWR));
	}
	mkdir(name, 0755);
	bind_to("/dev/dsa", name, 0);
	if (!strcmp(how, "unmounted")) {
		int file = open_queue();

		umount2("/dev/dsa", MNT_DETACH);
		return use(file);
	}
	if (!strcmp(how, "jailed")) {
		umount2(name, MNT_DETACH);
		bind_to("/dev", name, MS_REC);
		return chroot(place) ? 77 : use(open_queue());
	}
	strcat(name, "/wq0.0");
	return use(open(name, O_RDWR));
}
