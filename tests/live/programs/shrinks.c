/*
 * shrinks: the program makes the file of the memory that it shares with pasidlab shorter, if it can, and goes on submitting.
 */
#include "device.h"

int main(void)
{
	void *portal = open_portal();
	static char source[64], target[64];
	char line[512], path[600];
	int file = -1;

	for (int i = 0; i < 100; i++)
		if (move(portal, source, target, 64) != 1)
			return 1;
	FILE *maps = fopen("/proc/self/maps", "r");
	while (file < 0 && fgets(line, sizeof line, maps))
		if (strstr(line, "memfd:pasidlab")) {
			sprintf(path, "/proc/self/map_files/%.*s", (int)strcspn(line, " "), line);
			file = open(path, O_RDWR);
		}
	if (file < 0)
		return 77;
	if (ftruncate(file, 0) == 0)
		return 2;
	for (int i = 0; i < 100; i++)
		if (move(portal, source, target, 64) != 1)
			return 1;
	return 0;
}
