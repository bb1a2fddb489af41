// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A process that needs every word of its stack to be as it was: for the criu-stack scenario.
 *
 *	own-stack DIR syscall|leaf|rseq
 *
 * It has /dev/kvm open, so that the plugin takes care of it, and counts in DIR/count.
 * syscall: it makes system calls through libc, on POWER9 and later with scv, which leaves the
 * address behind itself in LR; the one that libc's function returns to is then in the stack frame
 * of its caller only. leaf: it is nearly always in a function that keeps such an address there,
 * and more in the red zone below the stack pointer, and looks whether they are still the same.
 * DIR/failed is the offset from the stack pointer of the first one that is not. rseq: it is nearly
 * always in a restartable sequence; DIR/failed is there when the kernel has forgotten that before
 * the sequence was at its end, and has not restarted it.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/rseq.h>
#include <unistd.h>

/*
 * uint64_t leaf(uint64_t loops): fills its 288 bytes of red zone and the word for LR in its
 * caller's frame, waits, and looks at them. The answer is 0 or, counted from the stack pointer, the
 * offset of the first word that is another one. LR is another address all the while, as after scv.
 */
uint64_t leaf(uint64_t loops);
asm(".pushsection .text\n"
    ".balign 16\n"
    ".globl leaf\n"
    ".type leaf, @function\n"
    "leaf:\n"
    "	mflr	7\n"
    "	std	7, 16(1)\n"
    "	bcl	20, 31, 1f\n"
    "1:	li	5, -288\n"
    "2:	stdx	5, 1, 5\n" /* each word has its offset */
    "	addi	5, 5, 8\n"
    "	cmpdi	5, 0\n"
    "	blt	2b\n"
    "	mtctr	3\n"
    "3:	bdnz	3b\n"
    "	li	3, -288\n"
    "4:	ldx	6, 1, 3\n"
    "	cmpd	6, 3\n"
    "	bne	5f\n"
    "	addi	3, 3, 8\n"
    "	cmpdi	3, 0\n"
    "	blt	4b\n"
    "	ld	6, 16(1)\n"
    "	cmpd	6, 7\n"
    "	beq	5f\n"
    "	li	3, 16\n"
    "5:	mtlr	7\n"
    "	blr\n"
    ".size leaf, . - leaf\n"
    ".popsection\n");

/*
 * uint64_t section(uint64_t loops, volatile struct rseq *rseq): a sequence that looks whether it is
 * the current one. 0: to its end; 1: restarted; 2: it was not the current one any more.
 */
uint64_t section(uint64_t loops, volatile struct rseq *rseq, const struct rseq_cs *cs);
extern const char section_start[], section_end[], section_abort[];
asm(".pushsection .text\n"
    ".balign 16\n"
    ".globl section\n"
    ".type section, @function\n"
    "section:\n"
    "	mtctr	3\n"
    "	std	5, 8(4)\n" /* rseq->rseq_cs */
    "section_start:\n"
    "1:	ld	6, 8(4)\n"
    "	cmpd	6, 5\n"
    "	bne	2f\n"
    "	bdnz	1b\n"
    "section_end:\n"
    "	li	3, 0\n"
    "	b	3f\n"
    "2:	li	3, 2\n"
    "3:	li	6, 0\n"
    "	std	6, 8(4)\n"
    "	blr\n"
    "	.long	0x0fe5000b\n" /* RSEQ_SIG */
    "section_abort:\n"
    "	li	3, 1\n"
    "	blr\n"
    ".size section, . - section\n"
    ".popsection\n");

static uint64_t in_section(void)
{
	static struct rseq_cs cs __attribute__((aligned(32)));
	char *thread_pointer;
	struct rseq *rseq;

	asm("mr %0, 13" : "=r"(thread_pointer));
	rseq = (void *)(thread_pointer + __rseq_offset);
	cs.start_ip = (uintptr_t)section_start;
	cs.post_commit_offset = section_end - section_start;
	cs.abort_ip = (uintptr_t)section_abort;
	return section(3000000, rseq, &cs);
}

static void put(const char *name, int64_t value)
{
	char text[32];
	int fd = open(name, O_WRONLY | O_CREAT, 0644);

	snprintf(text, sizeof(text), "%020" PRId64 "\n", value);
	if (fd < 0 || pwrite(fd, text, strlen(text), 0) < 0)
		exit(1);
	close(fd);
}

int main(int argc, char **argv)
{
	uint64_t count;
	bool in_leaf, in_rseq;
	int64_t lost;

	if (argc != 3 || chdir(argv[1]) || open("/dev/kvm", O_RDWR) < 0) {
		fprintf(stderr, "Usage: own-stack DIR syscall|leaf|rseq, on a host with KVM\n");
		return 2;
	}
	in_leaf = !strcmp(argv[2], "leaf");
	in_rseq = !strcmp(argv[2], "rseq");
	put("a", 0);
	for (count = 1;; count++) {
		if (in_leaf) {
			lost = leaf(3000000);
			if (lost) {
				put("failed", lost);
				return 1;
			}
		} else if (in_rseq) {
			if (in_section() == 2) {
				put("failed", 2);
				return 1;
			}
		} else {
			rename("a", "b");
			rename("b", "a");
			if (count % 64)
				continue;
		}
		put("count", count);
	}
}
