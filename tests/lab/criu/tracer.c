// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Does to a running process what CRIU does at the end of a restore: has it make a system call, and
 * puts its registers back while it is stopped at the end of that. It must then go on with all of
 * them. The process waits in a loop, not in a system call, so that it misses any register that is
 * not what it was. One line a check; for the lab's hosts only.
 */
#include <elf.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <asm/ptrace.h>

#define SYSCALL_STOP (SIGTRAP | 0x80) /* with PTRACE_O_TRACESYSGOOD */

/* What both processes see. wait_in_loop() knows the offsets. */
struct shared {
	uint64_t go;
	uint64_t waits;
	uint64_t seen[12]; /* r0, r4 to r12, CTR, XER */
};

_Static_assert(offsetof(struct shared, seen) == 16, "the loop's offsets");

/* A value for each register, waiting for shared->go, and what is in the registers then. */
void wait_in_loop(struct shared *shared);
/* A system call somewhere in the program. */
extern const char a_call[];
asm(".pushsection .text\n"
    ".balign 16\n"
    ".globl wait_in_loop\n"
    ".type wait_in_loop, @function\n"
    "wait_in_loop:\n"
    "	std	14, -16(1)\n"
    "	li	11, 0x5011\n"
    "	mtctr	11\n"
    "	lis	11, 0x2000\n" /* XER: the carry */
    "	mtxer	11\n"
    "	li	0, 0x5000\n"
    "	li	4, 0x5004\n"
    "	li	5, 0x5005\n"
    "	li	6, 0x5006\n"
    "	li	7, 0x5007\n"
    "	li	8, 0x5008\n"
    "	li	9, 0x5009\n"
    "	li	10, 0x500a\n"
    "	li	11, 0x500b\n"
    "	li	12, 0x500c\n"
    "	li	14, 1\n"
    "	std	14, 8(3)\n"
    "1:	ld	14, 0(3)\n"
    "	cmpdi	14, 0\n"
    "	beq	1b\n"
    "	std	0, 16(3)\n"
    "	std	4, 24(3)\n"
    "	std	5, 32(3)\n"
    "	std	6, 40(3)\n"
    "	std	7, 48(3)\n"
    "	std	8, 56(3)\n"
    "	std	9, 64(3)\n"
    "	std	10, 72(3)\n"
    "	std	11, 80(3)\n"
    "	std	12, 88(3)\n"
    "	mfctr	0\n"
    "	std	0, 96(3)\n"
    "	mfxer	0\n"
    "	std	0, 104(3)\n"
    "	ld	14, -16(1)\n"
    "	blr\n"
    ".size wait_in_loop, . - wait_in_loop\n"
    ".globl a_call\n"
    "a_call:\n"
    "	sc\n"
    ".popsection\n");

static const char *const names[] = { "r0", "r4",  "r5",	 "r6",	"r7",  "r8",
				     "r9", "r10", "r11", "r12", "CTR", "XER" };
static const uint64_t values[] = { 0x5000, 0x5004, 0x5005, 0x5006, 0x5007, 0x5008,
				   0x5009, 0x500a, 0x500b, 0x500c, 0x5011, 0x20000000 };

static int failures;

static void die(const char *what)
{
	fprintf(stderr, "tracer: %s: %s\n", what, strerror(errno));
	exit(2);
}

static void registers(pid_t pid, int request, struct pt_regs *regs)
{
	struct iovec iov = { regs, sizeof(*regs) };

	if (ptrace(request, pid, NT_PRSTATUS, &iov))
		die("registers");
}

/* Lets the process run until it stops, for @want. */
static void run_until(pid_t pid, int request, int want)
{
	int status;

	if (request && ptrace(request, pid, NULL, NULL))
		die("ptrace");
	if (waitpid(pid, &status, 0) != pid)
		die("waitpid");
	if (!WIFSTOPPED(status) || WSTOPSIG(status) != want) {
		fprintf(stderr, "tracer: status %#x instead of a stop for %#x\n", status, want);
		exit(2);
	}
}

/* getpid() in the process, which is stopped at the end of it then. What it returned, or -errno. */
static long make_call(pid_t pid, const struct pt_regs *before)
{
	struct pt_regs regs = *before;

	regs.nip = (uintptr_t)a_call;
	regs.gpr[0] = SYS_getpid;
	registers(pid, PTRACE_SETREGSET, &regs);
	run_until(pid, PTRACE_SYSCALL, SYSCALL_STOP);
	run_until(pid, PTRACE_SYSCALL, SYSCALL_STOP);
	registers(pid, PTRACE_GETREGSET, &regs);
	return regs.ccr & 0x10000000 ? -(long)regs.gpr[3] : (long)regs.gpr[3];
}

static void check_call(long ret, pid_t pid, const char *name)
{
	if (ret == pid) {
		printf("ok %s\n", name);
		return;
	}
	printf("not ok %s: getpid() gave %ld, not %d\n", name, ret, pid);
	failures++;
}

static void check_registers(const struct shared *shared, const char *name)
{
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++)
		if (shared->seen[i] != values[i]) {
			printf("not ok %s: %s is %#" PRIx64 ", not %#" PRIx64 "\n", name, names[i],
			       shared->seen[i], values[i]);
			failures++;
			return;
		}
	printf("ok %s\n", name);
}

/* A process that is in the loop, stopped. */
static pid_t start(struct shared *shared)
{
	pid_t pid;

	memset(shared, 0, sizeof(*shared));
	pid = fork();
	if (pid < 0)
		die("fork");
	if (!pid) {
		wait_in_loop(shared);
		_exit(0);
	}
	while (!__atomic_load_n(&shared->waits, __ATOMIC_ACQUIRE))
		usleep(1000);
	if (ptrace(PTRACE_SEIZE, pid, NULL, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL))
		die("seize");
	if (ptrace(PTRACE_INTERRUPT, pid, NULL, NULL))
		die("interrupt");
	run_until(pid, 0, SIGTRAP);
	return pid;
}

/* @request: how it is let go on after the system calls */
static void trace(struct shared *shared, int request, const char *name)
{
	pid_t pid = start(shared);
	struct pt_regs before;
	int status;

	registers(pid, PTRACE_GETREGSET, &before);
	check_call(make_call(pid, &before), pid, "it makes a system call for its tracer");
	check_call(make_call(pid, &before), pid, "and another one at the end of that");
	registers(pid, PTRACE_SETREGSET, &before);
	if (ptrace(request, pid, NULL, NULL))
		die("ptrace");
	__atomic_store_n(&shared->go, 1, __ATOMIC_RELEASE);
	if (waitpid(pid, &status, 0) != pid || status)
		die("the process");
	check_registers(shared, name);
}

int main(void)
{
	struct shared *shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
				     MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (shared == MAP_FAILED)
		die("mmap");
	setvbuf(stdout, NULL, _IONBF, 0);
	trace(shared, PTRACE_CONT, "it goes on with its registers");
	trace(shared, PTRACE_DETACH, "it is let go with its registers");
	return failures ? 1 : 0;
}
