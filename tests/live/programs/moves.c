/*
 * moves DIR: code that submits, in a file in DIR, is moved by mremap once it has submitted often, and submits there. 0 if all went well.
 */
#include "device.h"

typedef void (*submits)(void *portal, const void *descriptor);

/* mov %rdi,%rax; again: enqcmd (%rsi),%rax; jz again; ret */
static const uint8_t code[] = { 0x48, 0x89, 0xf8, 0xf2, 0x0f, 0x38, 0xf8, 0x06, 0x74, 0xf9, 0xc3 };

static int moves(void *portal, submits function)
{
	static char source[64], target[64];

	for (int i = 0; i < 20; i++) {
		struct record record = { 0 };
		struct descriptor descriptor = describe(MOVE, &record, source, target, 64);

		source[0] = i;
		function(portal, &descriptor);
		if (wait_for(&record, 20) != 1 || target[0] != i)
			return 1;
	}
	return 0;
}

int main(int count, char **words)
{
	char path[4096];
	void *portal = open_portal();
	char *room = mmap(NULL, 8192, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), *at;
	int file;

	snprintf(path, sizeof path, "%s/code-%d", words[1], getpid());
	file = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0700);
	if (file < 0 || pwrite(file, code, sizeof code, 128) != sizeof code || ftruncate(file, 4096))
		return 2;
	close(file);
	file = open(path, O_RDONLY | O_CLOEXEC);
	at = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, file, 0);
	if (at == MAP_FAILED)
		return 77;
	if (moves(portal, (submits)(at + 128)))
		return 3;
	at = mremap(at, 4096, 4096, MREMAP_MAYMOVE | MREMAP_FIXED, room);
	unlink(path);
	return at == MAP_FAILED ? 4 : moves(portal, (submits)(at + 128));
}
