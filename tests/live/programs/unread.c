/* unread DIR: SIGSEGV is ignored, and the program executes one in DIR whose code may be executed, but not read. That ends with 4. */
#include "device.h"
#include <elf.h>

int main(int count, char **words)
{
	static const uint8_t code[] = { 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0xb8, 60, 0, 0, 0, 0xbf, 4, 0, 0, 0, 0x0f, 0x05 };
	struct {
		Elf64_Ehdr head;
		Elf64_Phdr segment;
		uint8_t code[sizeof code];
	} file = {
		.head = { .e_ident = { 0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT }, .e_type = ET_EXEC, .e_machine = EM_X86_64,
			  .e_version = EV_CURRENT, .e_entry = 0x10000000 + sizeof file.head + sizeof file.segment, .e_phoff = sizeof file.head,
			  .e_ehsize = sizeof file.head, .e_phentsize = sizeof file.segment, .e_phnum = 1 },
		.segment = { .p_type = PT_LOAD, .p_flags = PF_X, .p_vaddr = 0x10000000, .p_filesz = sizeof file, .p_memsz = sizeof file },
	};
	char path[4096];
	int made;

	memcpy(file.code, code, sizeof code);
	snprintf(path, sizeof path, "%s/unread-%d", words[1], getpid());
	made = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0700);
	if (made < 0 || write(made, &file, sizeof file) != sizeof file || close(made))
		return 1;
	open_portal();
	signal(SIGSEGV, SIG_IGN);
	execl(path, path, NULL);
	return 2;
}
