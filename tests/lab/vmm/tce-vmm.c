// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * tce-vmm: a small VMM for PAPR guests with TCE tables in the kernel. It does what it reads, one
 * command a line, from a script, standard input, or a FIFO that other programs write to;
 * `tce-vmm --help` lists the commands.
 */
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "commands.h"
#include "guest-entry.h"

static const char usage[] =
	"Usage: tce-vmm [OPTION]... [SCRIPT]\n"
	"       tce-vmm --ask DIR COMMAND...\n"
	"A test VMM: its guest changes TCE tables by hcalls. Commands come from SCRIPT (- or\n"
	"nothing: standard input), one a line; # starts a comment.\n"
	"\n"
	"  -t, --type hv|pr        KVM's VM type (default: what the host prefers)\n"
	"  -m, --mmu hpt|radix     the guest's MMU mode (default: radix where there is such)\n"
	"  -M, --mem MIB           guest memory at 0 (default 64)\n"
	"  -c, --cpus N            vCPUs (default 1, at most 8)\n"
	"  -d, --control DIR       take commands from DIR/ctl, a FIFO, write replies to DIR/reply\n"
	"  -a, --ask DIR           send COMMAND to the VMM behind DIR; print its reply\n"
	"  -k, --keep-going        a failed command of a script does not end it\n"
	"  -s, --stay              stay alive after the script, until SIGTERM\n"
	"  -h, --help              this text\n"
	"\n"
	"Commands (numbers in C's notation; IOBA is a bus address, INDEX counts from 0):\n";

static volatile sig_atomic_t terminated;

static void terminate_handler(int sig)
{
	terminated = 1;
}

/* Run one line; the reply is what it prints, and then "ok" or "error: why". */
static bool run_line(struct session *s, char *line)
{
	char *arg[MAX_ARGS], *save = NULL;
	int n = 0, ret = 0;

	line[strcspn(line, "#\n")] = '\0';
	s->error[0] = '\0';
	for (char *p = strtok_r(line, " \t", &save); p; p = strtok_r(NULL, " \t", &save)) {
		if (n == MAX_ARGS) {
			ret = command_error(s, "more than %d words", MAX_ARGS);
			break;
		}
		arg[n++] = p;
	}
	if (!n)
		return true;
	if (!ret)
		ret = command_run(s, n, arg);
	if (s->vm->failed[0] && !s->error[0])
		ret = command_error(s, "%s", s->vm->failed);
	if (ret)
		fprintf(s->out, "error: %s: %s\n", arg[0], s->error);
	else if (s->control)
		fprintf(s->out, "ok\n");
	fflush(s->out);
	return !ret;
}

static bool run_script(struct session *s, FILE *in, bool keep_going)
{
	char line[1024];
	bool ok = true;

	while (!s->quit && !terminated) {
		if (!fgets(line, sizeof(line), in)) {
			if (ferror(in) && errno == EINTR) {
				clearerr(in);
				continue;
			}
			break;
		}
		if (!run_line(s, line)) {
			ok = false;
			if (!keep_going)
				break;
		}
	}
	return ok;
}

static void control_path(char *path, size_t size, const char *dir, const char *name)
{
	if (snprintf(path, size, "%s/%s", dir, name) >= (int)size)
		die("%s: name too long", dir);
}

/* The FIFO is opened for writing as well, so that a client's close is not an end of file. */
static FILE *open_control(struct session *s, const char *dir)
{
	char ctl[512], reply[512];
	FILE *in;
	int fd;

	control_path(ctl, sizeof(ctl), dir, "ctl");
	control_path(reply, sizeof(reply), dir, "reply");
	if (mkdir(dir, 0700) && errno != EEXIST)
		die("%s: %s", dir, strerror(errno));
	if (mkfifo(ctl, 0600) && errno != EEXIST)
		die("%s: %s", ctl, strerror(errno));
	s->out = fopen(reply, "ae");
	if (!s->out)
		die("%s: %s", reply, strerror(errno));
	fd = open(ctl, O_RDWR | O_CLOEXEC);
	in = fd < 0 ? NULL : fdopen(fd, "r");
	if (!in)
		die("%s: %s", ctl, strerror(errno));
	s->control = true;
	return in;
}

/*
 * Print what was appended to the reply file since `from`, the closing ok left out; 0, 1: good or
 * bad, -1: not whole yet.
 */
static int print_reply(int fd, off_t from)
{
	static char buf[1 << 20];
	ssize_t n = pread(fd, buf, sizeof(buf) - 1, from);
	char *last;

	if (n <= 0 || buf[n - 1] != '\n')
		return -1;
	buf[n - 1] = '\0';
	last = strrchr(buf, '\n');
	last = last ? last + 1 : buf;
	if (strcmp(last, "ok") && strncmp(last, "error: ", 7))
		return -1;
	if (!strcmp(last, "ok")) {
		*last = '\0';
		fputs(buf, stdout);
		return 0;
	}
	puts(buf);
	return 1;
}

static int ask(const char *dir, int argc, char **argv)
{
	const struct timespec tick = { .tv_nsec = 20000000 };
	char ctl[512], reply[512], line[1024] = "";
	int ctl_fd, reply_fd, ret;
	off_t from;

	for (int i = 0; i < argc; i++) {
		if (strlen(line) + strlen(argv[i]) + 2 > sizeof(line))
			die("command too long");
		strcat(strcat(line, i ? " " : ""), argv[i]);
	}
	strcat(line, "\n");
	control_path(ctl, sizeof(ctl), dir, "ctl");
	control_path(reply, sizeof(reply), dir, "reply");
	ctl_fd = open(ctl, O_WRONLY | O_NONBLOCK); /* fails when no VMM reads it */
	if (ctl_fd < 0)
		die("%s: %s", ctl, strerror(errno));
	reply_fd = open(reply, O_RDONLY);
	if (reply_fd < 0)
		die("%s: %s", reply, strerror(errno));
	flock(reply_fd, LOCK_EX); /* one client at a time */
	from = lseek(reply_fd, 0, SEEK_END);
	if (write(ctl_fd, line, strlen(line)) != (ssize_t)strlen(line))
		die("%s: %s", ctl, strerror(errno));
	close(ctl_fd);
	for (;;) {
		ret = print_reply(reply_fd, from);
		if (ret >= 0)
			return ret;
		ctl_fd = open(ctl, O_WRONLY | O_NONBLOCK);
		if (ctl_fd < 0)
			die("the VMM behind %s is gone", dir);
		close(ctl_fd);
		nanosleep(&tick, NULL);
	}
}

static int parse_choice(const char *what, const char *arg, const char *first, const char *second)
{
	if (!strcmp(arg, first))
		return 1;
	if (!strcmp(arg, second))
		return 2;
	fprintf(stderr, "tce-vmm: --%s is %s or %s\n", what, first, second);
	exit(2);
}

static unsigned long parse_count(const char *what, const char *arg, unsigned long min,
				 unsigned long max)
{
	char *end;
	unsigned long n = strtoul(arg, &end, 0);

	if (*end || end == arg || n < min || n > max) {
		fprintf(stderr, "tce-vmm: --%s is a number from %lu to %lu\n", what, min, max);
		exit(2);
	}
	return n;
}

static const struct option options[] = {
	{ "type", required_argument, NULL, 't' },    { "mmu", required_argument, NULL, 'm' },
	{ "mem", required_argument, NULL, 'M' },     { "cpus", required_argument, NULL, 'c' },
	{ "control", required_argument, NULL, 'd' }, { "ask", required_argument, NULL, 'a' },
	{ "keep-going", no_argument, NULL, 'k' },    { "stay", no_argument, NULL, 's' },
	{ "help", no_argument, NULL, 'h' },	     { 0 }
};

int main(int argc, char **argv)
{
	struct vm_options opt = { .mem_size = 64UL << 20, .nvcpus = 1 };
	struct sigaction term = { .sa_handler = terminate_handler }; /* no SA_RESTART: read ends */
	struct session s = { .out = stdout };
	const char *control = NULL, *asked = NULL;
	bool keep_going = false, stay = false, ok;
	FILE *in = stdin;
	int c;

	while ((c = getopt_long(argc, argv, "+t:m:M:c:d:a:ksh", options, NULL)) != -1) {
		switch (c) {
		case 't':
			opt.type = parse_choice("type", optarg, "hv", "pr");
			break;
		case 'm':
			opt.mmu = parse_choice("mmu", optarg, "hpt", "radix");
			break;
		case 'M':
			opt.mem_size = parse_count("mem", optarg, GUEST_RAM_MIN >> 20, 1 << 20)
				       << 20;
			break;
		case 'c':
			opt.nvcpus = (int)parse_count("cpus", optarg, 1, GUEST_MAX_CPUS);
			break;
		case 'd':
			control = optarg;
			break;
		case 'a':
			asked = optarg;
			break;
		case 'k':
			keep_going = true;
			break;
		case 's':
			stay = true;
			break;
		case 'h':
			fputs(usage, stdout);
			command_help(stdout);
			return 0;
		default:
			return 2;
		}
	}
	if (asked)
		return ask(asked, argc - optind, argv + optind);
	if (argc - optind > 1) {
		fputs("tce-vmm: one script at most\n", stderr);
		return 2;
	}
	if (optind < argc && strcmp(argv[optind], "-")) {
		in = fopen(argv[optind], "re");
		if (!in)
			die("%s: %s", argv[optind], strerror(errno));
	}

	sigaction(SIGTERM, &term, NULL);
	sigaction(SIGINT, &term, NULL);
	signal(SIGPIPE, SIG_IGN);
	s.vm = vm_create(&opt);
	s.vcpu = &s.vm->vcpu[0];
	if (!control || optind < argc)
		ok = run_script(&s, in, keep_going);
	else
		ok = true;
	if (control && ok && !s.quit) {
		in = open_control(&s, control);
		run_script(&s, in, true);
	}
	while (stay && !terminated && !s.quit)
		pause();
	vm_destroy(s.vm);
	return !ok;
}
