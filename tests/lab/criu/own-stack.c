// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A process that needs every word of its stack to be as it was: for the criu-stack scenario.
 *
 *	own-stack DIR syscall|leaf
 *
 * It has /dev/kvm open, so that the plugin takes care of it, and counts in DIR/count.
 * syscall: it makes system calls through libc, on POWER9 and later with scv, which leaves the
 * address behind itself in LR; the one that libc's function returns to is then in the stack frame
 * of its caller only. leaf: it is nearly always in a function that keeps such an address there,
 * and more in the red zone below the stack pointer, and looks whether they are still the same.
 * DIR/failed is the offset from the stack pointer of the first one that is not.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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
	bool in_leaf;
	int64_t lost;

	if (argc != 3 || chdir(argv[1]) || open("/dev/kvm", O_RDWR) < 0) {
		fprintf(stderr, "Usage: own-stack DIR syscall|leaf, on a host with KVM\n");
		return 2;
	}
	in_leaf = !strcmp(argv[2], "leaf");
	put("a", 0);
	for (count = 1;; count++) {
		if (in_leaf) {
			lost = leaf(3000000);
			if (lost) {
				put("failed", lost);
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
