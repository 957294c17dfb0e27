/* What the activities share; ``main.c`` names them. */
#define _GNU_SOURCE
#include <sys/types.h>

#define PAGE 4096
#define SELF "/proc/self/exe"

extern char *const nothing[]; /* arguments with which SELF ends at once */
extern int more(void); /* there is time left */
extern unsigned below(unsigned limit); /* a number; each thread has its own */
extern void vectors(void); /* puts the registers of AVX-512, AVX or SSE to use */
extern void *computes(void *arg); /* does so until the end */
extern void thread(void *(*function)(void *), void *arg);
extern void reap(pid_t child);
extern void end_of(pid_t child); /* kills and reaps it */
extern void no_core(void);

extern void threads(void);
extern void forks(void);
extern void execs(void);
extern void namespaces(void);
extern void migrations(void);
extern void reuse(void);
extern void signals(void);
extern void ptraces(void);
extern void timers(void);
extern void dumps(void);
extern void uring(void);
extern void crypto(void);
extern void kvm(void);
