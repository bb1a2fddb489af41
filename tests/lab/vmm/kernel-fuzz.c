// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * tce-kernel-fuzz: a VMM that does anything. Threads make random calls on the same VMs, vCPUs,
 * tables and devices; nothing is expected of a call but that it returns, and of all that the
 * kernel has nothing to say about it, which the scenario looks at. Call N of thread T draws its
 * numbers from the seed, T and N alone; what it meets depends on what the others did.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "fuzz.h"

#define MAX_THREADS   16
#define MAX_CALLS     128
#define OFTEN	      400
#define STUCK_SECONDS 300
#define FIRST_FD      10 /* those below are nobody's to close */

static struct options {
	u64 seed, calls;
	time_t seconds;
	int threads;
	int log;
} opt = { .threads = 4, .seconds = 10, .log = -1 };

static const struct fuzz_call *calls[MAX_CALLS];
static int ncalls;
static unsigned int total_weight;

static struct worker {
	struct fuzz f;
	pthread_t thread;
	u64 made[MAX_CALLS], good[MAX_CALLS];
	bool ended;
} worker[MAX_THREADS];

static int pool[FUZZ_KINDS][FUZZ_PLACES];
static const unsigned int places[FUZZ_KINDS] = { 3, 6, 8, 4, 6, 8 };
static bool stop;
static __thread struct fuzz *current;

/* splitmix64 */
static u64 mix(u64 z)
{
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9UL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebUL;
	return z ^ (z >> 31);
}

u64 fuzz_random(struct fuzz *f)
{
	f->state += 0x9e3779b97f4a7c15UL;
	return mix(f->state);
}

u64 fuzz_below(struct fuzz *f, u64 n)
{
	return fuzz_random(f) % n;
}

bool fuzz_one_in(struct fuzz *f, u64 n)
{
	return fuzz_below(f, n) == 0;
}

u64 fuzz_number(struct fuzz *f)
{
	switch (fuzz_below(f, 6)) {
	case 0:
		return 0;
	case 1:
		return ~0UL;
	case 2:
		return (1UL << fuzz_below(f, 64)) + fuzz_below(f, 3) - 1;
	case 3:
		return fuzz_random(f);
	default:
		return fuzz_below(f, 1UL << (1 + fuzz_below(f, 20)));
	}
}

int fuzz_fd_at(enum fuzz_kind kind, unsigned int place)
{
	return __atomic_load_n(&pool[kind][place], __ATOMIC_RELAXED);
}

int fuzz_fd(struct fuzz *f, enum fuzz_kind kind)
{
	return fuzz_fd_at(kind, (unsigned int)fuzz_below(f, places[kind]));
}

int fuzz_any_fd(struct fuzz *f)
{
	enum fuzz_kind kind = fuzz_one_in(f, 8) ? FUZZ_VIEW : FUZZ_TABLE;

	if (fuzz_one_in(f, 5))
		kind = (enum fuzz_kind)fuzz_below(f, FUZZ_KINDS);
	return fuzz_fd(f, kind);
}

long fuzz_keep_at(enum fuzz_kind kind, unsigned int place, int fd)
{
	int old;

	if (fd < 0)
		return -1;
	old = __atomic_exchange_n(&pool[kind][place], fd, __ATOMIC_RELAXED);
	if (old >= FIRST_FD)
		close(old);
	return 0;
}

long fuzz_keep(struct fuzz *f, enum fuzz_kind kind, int fd)
{
	return fuzz_keep_at(kind, (unsigned int)fuzz_below(f, places[kind]), fd);
}

static void faulted(int sig)
{
	if (!current || !current->guarded) {
		signal(sig, SIG_DFL);
		return;
	}
	current->guarded = false;
	siglongjmp(current->fault, 1);
}

static void kicked(int sig)
{
	/* Only there so that a call that waits ends with EINTR. */
}

static void write_log(const struct fuzz *f)
{
	char line[128];
	int n = snprintf(line, sizeof(line), "%d %lu %s\n", f->index, f->number, f->call);

	if (write(opt.log, line, (size_t)n) != n)
		opt.log = -1;
}

static int choose(struct fuzz *f)
{
	unsigned int n = (unsigned int)fuzz_below(f, total_weight);
	int i;

	for (i = 0; n >= calls[i]->weight; i++)
		n -= calls[i]->weight;
	return i;
}

/* Returns which it was; *good when it succeeded. */
static int make_call(struct fuzz *f, bool *good)
{
	volatile int i;

	f->state = mix(f->seed ^ mix((u64)f->index << 48 ^ f->number));
	i = choose(f);
	f->call = calls[i]->name;
	if (opt.log >= 0)
		write_log(f);
	*good = false;
	if (!sigsetjmp(f->fault, 1)) {
		f->guarded = true;
		*good = calls[i]->make(f) >= 0;
	}
	f->guarded = false;
	return i;
}

void fuzz_call_any(struct fuzz *f)
{
	bool good;

	/* Numbers that the thread itself does not reach. */
	f->number += 1UL << 40;
	make_call(f, &good);
}

static void *work(void *arg)
{
	struct worker *w = arg;

	current = &w->f;
	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED) &&
	       (!opt.calls || w->f.number < opt.calls)) {
		bool good;
		int i = make_call(&w->f, &good);

		w->made[i]++;
		w->good[i] += good;
		__atomic_store_n(&w->f.number, w->f.number + 1, __ATOMIC_RELAXED);
	}
	__atomic_store_n(&w->ended, true, __ATOMIC_RELEASE);
	return NULL;
}

/* All threads have ended; meanwhile those that wait are kicked. */
static bool all_ended(void)
{
	bool all = true;

	for (int i = 0; i < opt.threads; i++) {
		if (__atomic_load_n(&worker[i].ended, __ATOMIC_ACQUIRE))
			continue;
		all = false;
		pthread_kill(worker[i].thread, SIGUSR1);
	}
	return all;
}

/* False: a call does not return, whatever signal comes */
static bool watch(void)
{
	const struct timespec tick = { .tv_nsec = 20000000 };
	u64 last[MAX_THREADS] = { 0 };
	time_t moved[MAX_THREADS], now = time(NULL), end = now + opt.seconds;

	for (int i = 0; i < opt.threads; i++)
		moved[i] = now;
	while (!all_ended()) {
		nanosleep(&tick, NULL);
		now = time(NULL);
		if (!opt.calls && now >= end)
			__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
		for (int i = 0; i < opt.threads; i++) {
			const struct worker *w = &worker[i];
			u64 number = __atomic_load_n(&w->f.number, __ATOMIC_RELAXED);

			if (number != last[i] || __atomic_load_n(&w->ended, __ATOMIC_RELAXED)) {
				last[i] = number;
				moved[i] = now;
			} else if (now - moved[i] > STUCK_SECONDS) {
				printf("not ok fuzz: thread %d is stuck in call %lu, %s\n", i,
				       number, w->f.call);
				return false;
			}
		}
	}
	return true;
}

static void close_everything(void)
{
	for (int kind = 0; kind < FUZZ_KINDS; kind++)
		for (int i = 0; i < FUZZ_PLACES; i++)
			if (pool[kind][i] >= FIRST_FD)
				close(pool[kind][i]);
}

/* How often each call was made; one that was made often and never succeeded tries nothing. */
static int report(void)
{
	u64 all = 0, all_good = 0;
	int never = 0;

	for (int i = 0; i < ncalls; i++) {
		u64 made = 0, good = 0;

		for (int t = 0; t < opt.threads; t++) {
			made += worker[t].made[i];
			good += worker[t].good[i];
		}
		printf("%-24s %9lu made %9lu succeeded\n", calls[i]->name, made, good);
		all += made;
		all_good += good;
		if (!good && made >= OFTEN) {
			printf("not ok fuzz: no call of %s succeeded\n", calls[i]->name);
			never++;
		}
	}
	printf("%s fuzz: %lu calls by %d threads, %lu succeeded, seed %lu\n",
	       never ? "not ok" : "ok", all, opt.threads, all_good, opt.seed);
	return never ? 1 : 0;
}

static void add_calls(const struct fuzz_call *more)
{
	for (; more->name; more++) {
		calls[ncalls++] = more;
		total_weight += more->weight;
	}
}

static void usage(FILE *out)
{
	fputs("Usage: tce-kernel-fuzz [OPTION]...\n"
	      "Make random calls on KVM's files from several threads, and print how many.\n\n"
	      "  --seed N      of the random numbers (default: random, printed)\n"
	      "  --seconds N   for so long (default: 10)\n"
	      "  --calls N     or until each thread has made so many\n"
	      "  --threads N   1 to 16 (default: 4)\n"
	      "  --log FILE    name each call there before it is made\n",
	      out);
}

static u64 number(const char *text)
{
	char *end;
	u64 n;

	errno = 0;
	n = strtoul(text, &end, 0);
	if (errno || end == text || *end) {
		fprintf(stderr, "tce-kernel-fuzz: %s is no number\n", text);
		exit(2);
	}
	return n;
}

static void parse(int argc, char **argv)
{
	static const struct option options[] = {
		{ "seed", required_argument, NULL, 's' },
		{ "seconds", required_argument, NULL, 't' },
		{ "calls", required_argument, NULL, 'c' },
		{ "threads", required_argument, NULL, 'n' },
		{ "log", required_argument, NULL, 'l' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	int o;

	if (getrandom(&opt.seed, 4, 0) != 4)
		opt.seed = (u64)time(NULL);
	while ((o = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (o) {
		case 's':
			opt.seed = number(optarg);
			break;
		case 't':
			opt.seconds = (time_t)number(optarg);
			break;
		case 'c':
			opt.calls = number(optarg);
			break;
		case 'n':
			opt.threads = (int)number(optarg);
			break;
		case 'l':
			opt.log = open(optarg, O_WRONLY | O_CREAT | O_TRUNC | O_SYNC | O_CLOEXEC,
				       0644);
			break;
		default:
			usage(o == 'h' ? stdout : stderr);
			exit(o == 'h' ? 0 : 2);
		}
	}
	if (optind != argc || opt.threads < 1 || opt.threads > MAX_THREADS) {
		usage(stderr);
		exit(2);
	}
}

static void start_threads(void)
{
	for (int i = 0; i < opt.threads; i++) {
		struct worker *w = &worker[i];

		w->f = (struct fuzz){ .index = i,
				      .seed = opt.seed,
				      .buffer = aligned_alloc(FUZZ_BUFFER, FUZZ_BUFFER) };
		if (!w->f.buffer || pthread_create(&w->thread, NULL, work, w)) {
			fputs("tce-kernel-fuzz: no thread\n", stderr);
			exit(2);
		}
	}
}

int main(int argc, char **argv)
{
	struct sigaction kick = { .sa_handler = kicked }, fault = { .sa_handler = faulted };
	int fd;

	setvbuf(stdout, NULL, _IOLBF, 0);
	parse(argc, argv);
	printf("fuzz: seed %lu, %d threads\n", opt.seed, opt.threads);
	sigaction(SIGUSR1, &kick, NULL);
	sigaction(SIGSEGV, &fault, NULL);
	sigaction(SIGBUS, &fault, NULL);
	signal(SIGPIPE, SIG_IGN);
	memset(pool, -1, sizeof(pool));
	do
		fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	while (fd >= 0 && fd < FIRST_FD - 1);
	fuzz_kvm_init();
	fuzz_file_init();
	add_calls(fuzz_kvm_calls);
	add_calls(fuzz_mmu_calls);
	if (fuzz_kvm_has_xive())
		add_calls(fuzz_xive_calls);
	add_calls(fuzz_file_calls);
	if (fuzz_vfio_open())
		add_calls(fuzz_vfio_calls);
	start_threads();
	if (!watch())
		_exit(1);
	close_everything();
	return report();
}
