/* tables FILE: an ENQCMD that faults lies in a file whose 65,535 section headers all name one table of symbols of 64 MiB. */
#include "device.h"
#include <elf.h>
#include <setjmp.h>

enum { SECTIONS = 65535, SIZE = 1 << 26 };
static sigjmp_buf over;

static void faulted(int number)
{
	siglongjmp(over, 1);
}

int main(int count, char **words)
{
	static Elf64_Shdr sections[SECTIONS];
	Elf64_Ehdr head = { .e_ident = { 0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB }, .e_shoff = sizeof head,
			    .e_shentsize = sizeof *sections, .e_shnum = SECTIONS };
	const char code[] = "\xf2\x0f\x38\xf8\x02\xc3"; /* enqcmd (%rdx),%rax; ret */
	int file = open(words[1], O_RDWR | O_CREAT, 0644);
	char source[64], target[64];

	for (int i = 0; i < SECTIONS; i++)
		sections[i] = (Elf64_Shdr){ .sh_type = SHT_SYMTAB, .sh_offset = i, .sh_size = SIZE - 65536, .sh_link = 1 };
	ftruncate(file, SIZE);
	pwrite(file, &head, sizeof head, 0);
	pwrite(file, sections, sizeof sections, sizeof head);
	pwrite(file, code, sizeof code, SIZE - 4096);
	void (*submits)(long, long, const void *) = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, file, SIZE - 4096);
	void *portal = open_portal();
	signal(SIGSEGV, faulted);
	if (!sigsetjmp(over, 1)) {
		submits(0, 0, (void *)8);
		return 1;
	}
	return move(portal, source, target, 64) != 1;
}
