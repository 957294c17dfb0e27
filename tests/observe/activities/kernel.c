/* What the kernel does for a program: its own threads, cryptography, guests. */
#include "activities.h"

#include <fcntl.h>
#include <linux/if_alg.h>
#include <linux/io_uring.h>
#include <linux/kvm.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The kernel's own threads of a program read files, and the program executes or dies meanwhile. */
static void uring_once(void)
{
	struct io_uring_params p = { .flags = below(2) ? IORING_SETUP_SQPOLL : 0, .sq_thread_idle = 2 };
	int fd = syscall(SYS_io_uring_setup, 8, &p), file = open("/dev/urandom", O_RDONLY), i;
	char *ring = mmap(NULL, p.sq_off.array + p.sq_entries * 4, PROT_READ | PROT_WRITE, MAP_SHARED, fd, IORING_OFF_SQ_RING);
	struct io_uring_sqe *entries = mmap(NULL, p.sq_entries * 64, PROT_READ | PROT_WRITE, MAP_SHARED, fd, IORING_OFF_SQES);
	static char data[PAGE];
	unsigned *tail;

	if (fd < 0 || ring == MAP_FAILED || entries == MAP_FAILED)
		return;
	tail = (unsigned *)(ring + p.sq_off.tail);
	for (i = 0; i < 50 && more(); i++) {
		entries[*tail % 8] = (struct io_uring_sqe){
			.opcode = IORING_OP_READ, .flags = IOSQE_ASYNC, .fd = file, .addr = (unsigned long)data, .len = PAGE,
		};
		((unsigned *)(ring + p.sq_off.array))[*tail % 8] = *tail % 8;
		__atomic_store_n(tail, *tail + 1, __ATOMIC_RELEASE);
		vectors();
		syscall(SYS_io_uring_enter, fd, 1, 0, IORING_ENTER_SQ_WAKEUP, NULL, 0);
		if (!below(100))
			execv(SELF, nothing);
		usleep(below(50));
	}
}

void uring(void)
{
	pid_t child;

	while (more()) {
		child = fork();
		if (!child) {
			uring_once();
			_exit(0);
		}
		usleep(below(3000));
		if (below(2))
			end_of(child);
		else
			reap(child);
	}
}

/* Random numbers, and AES for a socket. */
void crypto(void)
{
	struct sockaddr_alg address = { .salg_family = AF_ALG, .salg_type = "skcipher", .salg_name = "ecb(aes)" };
	int listens = socket(AF_ALG, SOCK_SEQPACKET, 0), works = -1;
	char data[256] = "";

	if (listens >= 0 && !bind(listens, (struct sockaddr *)&address, sizeof(address))) {
		setsockopt(listens, SOL_ALG, ALG_SET_KEY, data, 16);
		works = accept(listens, NULL, NULL);
	}
	while (more()) {
		vectors();
		getrandom(data, sizeof(data), 0);
		if (works >= 0 && write(works, data, sizeof(data)) > 0)
			read(works, data, sizeof(data));
	}
}

/* A guest that halts at once. */
void kvm(void)
{
	int vm = ioctl(open("/dev/kvm", O_RDWR), KVM_CREATE_VM, 0), cpu = ioctl(vm, KVM_CREATE_VCPU, 0), i;
	char *memory = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct kvm_userspace_memory_region region = { .memory_size = PAGE, .userspace_addr = (unsigned long)memory };
	struct kvm_regs registers = { .rflags = 2 };
	struct kvm_sregs special;

	memset(memory, 0xf4, PAGE); /* HLT */
	ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region);
	if (ioctl(cpu, KVM_GET_SREGS, &special))
		return;
	special.cs.base = special.cs.selector = 0;
	ioctl(cpu, KVM_SET_SREGS, &special);
	while (more()) {
		for (i = 0; i < 20; i++) {
			vectors();
			ioctl(cpu, KVM_SET_REGS, &registers);
			ioctl(cpu, KVM_RUN, 0);
		}
		ioctl(cpu, KVM_GET_MP_STATE, &(struct kvm_mp_state){ 0 });
		if (!below(10))
			usleep(100);
	}
}
