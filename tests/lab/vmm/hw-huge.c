// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Memory that is registered in one piece, a huge page and what is no huge page behind it. An I/O
 * page of the hardware's may be as large as the huge page, but there it would reach what is not
 * the process's.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <linux/mman.h>

#include "check.h"
#include "hw-test.h"

#define HUGE	(16UL << 20)
#define POOL	(256UL << 20)
#define BORDER	0x80000000UL
#define PRESENT (1UL << 63)

/* Where the page at `mem` is in the host's memory, in pages, or what is no multiple of anything. */
static u64 frame(const void *mem)
{
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	u64 entry = 0;

	need(fd >= 0, "/proc/self/pagemap");
	need(pread(fd, &entry, 8, (off_t)((u64)mem / (u64)getpagesize() * 8)) == 8,
	     "a page's place");
	close(fd);
	return entry & PRESENT ? entry & ((1UL << 55) - 1) : 1;
}

static bool is_aligned(const void *mem)
{
	return frame(mem) % (HUGE / (u64)getpagesize()) == 0;
}

/* `size` bytes from a multiple of HUGE on, with pages as `advice` has it. */
static char *map_at_huge(u64 size, int advice)
{
	char *mem = mmap(NULL, size + HUGE, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	need(mem != MAP_FAILED, "memory");
	mem += -(u64)mem % HUGE;
	need(!madvise(mem, size, advice), "madvise");
	return mem;
}

static void map_at(char *at, int flags, const char *what)
{
	need(mmap(at, HUGE, PROT_READ | PROT_WRITE,
		  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE | flags, -1, 0) == at,
	     what);
}

/*
 * A huge page, and as much memory of ordinary pages behind it. With the hash MMU, pages are of one
 * size from one multiple of 256 MiB to the next.
 */
static char *map_mixed(void)
{
	char *mem = (char *)BORDER - HUGE;

	map_at(mem, MAP_HUGETLB | 24 << MAP_HUGE_SHIFT, "a huge page");
	map_at(mem + HUGE, 0, "memory behind a huge page");
	need(!madvise(mem + HUGE, HUGE, MADV_NOHUGEPAGE), "madvise");
	memset(mem, 0, 2 * HUGE);
	return mem;
}

static void move(char *from, u64 size, char *to)
{
	need(mremap(from, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, to) == to, "mremap");
}

static void never_maps_mixed(char *mem, const char *what)
{
	char name[128];

	create_window(24);
	snprintf(name, sizeof(name), "%s: VFIO does not map it", what);
	check(try_vfio_map(0, mem + HUGE, HUGE) < 0, name, "it does");
	never_maps(mem + HUGE, HUGE, 24, what);
	snprintf(name, sizeof(name), "%s: nothing of it is mapped", what);
	check(unregister_memory(mem, 2 * HUGE), name, "%s", strerror(errno));
}

/* One whose place is aligned by chance, and stays when it is registered: some are moved then. */
static bool try_ordinary_page(char *page)
{
	char *mem = map_mixed();
	bool good;

	move(page, (u64)getpagesize(), mem + HUGE);
	register_memory(mem, 2 * HUGE);
	good = is_aligned(mem + HUGE);
	if (good)
		never_maps_mixed(mem, "an ordinary page behind a huge one");
	else
		need(unregister_memory(mem, 2 * HUGE), "unregistering");
	munmap(mem, 2 * HUGE);
	return good;
}

static void test_ordinary_page(void)
{
	char *pool = map_at_huge(POOL, MADV_NOHUGEPAGE);
	bool found = false;

	memset(pool, 1, POOL);
	for (u64 at = 0; at < POOL && !found; at += (u64)getpagesize())
		found = is_aligned(pool + at) && try_ordinary_page(pool + at);
	check(found, "an ordinary page behind a huge one: there was one", "there was none");
	munmap(pool, POOL);
}

/*
 * A transparent huge page, all of it but its first page, so that its second one is at an aligned
 * address. The kernel had a BUG_ON() for that.
 */
static void test_moved_huge_page(void)
{
	char *mem = map_mixed(), *huge = map_at_huge(HUGE, MADV_HUGEPAGE);
	u64 page = (u64)getpagesize();

	memset(huge, 1, HUGE);
	check(is_aligned(huge), "a huge page that was moved: there is one", "there is none");
	move(huge + page, HUGE - page, mem + HUGE);
	register_memory(mem, 2 * HUGE);
	check(!is_aligned(mem + HUGE), "a huge page that was moved: it is where it was",
	      "it is not");
	never_maps_mixed(mem, "a huge page that was moved");
	munmap(huge, page);
	munmap(mem, 2 * HUGE);
}

void test_mixed_pages(void)
{
	test_ordinary_page();
	test_moved_huge_page();
}
