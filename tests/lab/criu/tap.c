// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Taps for VMMs that know nothing of them, for the criu-tap scenario.
 *
 *	tap run NAME HOW... -- COMMAND...
 *		COMMAND has the tap open. HOW: queues=N (the last of them detached), header=BYTES,
 *		offloads=NUMBER, send=BYTES (its send buffer), none (no interface), tun (not a
 *		tap), filter, epoll (one waits for it)
 *	tap show PID		all that the kernel tells of the process's taps
 *	tap traffic PID		frames through each of them, in both directions, compared
 */
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <sys/stat.h>
#include <unistd.h>

#include <linux/ethtool.h>
#include <linux/filter.h>
#include <linux/if.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <linux/sockios.h>

#define FRAMES	   50
#define FRAME_LEN  1000
#define ETHER_TYPE 0x88b5 /* for experiments */
#define HEADER_MAX 64
#define WAIT_MS	   2000
#define TAPS_MAX   16
#define FDS_MAX	   256

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void must(int ret, const char *what)
{
	if (ret < 0)
		die(what);
}

/* ---- run ---- */

struct how {
	int queues, header, send;
	unsigned long offloads;
	bool none, tun, filter, epoll;
};

static void read_how(struct how *how, const char *text)
{
	if (!strncmp(text, "queues=", 7))
		how->queues = atoi(text + 7);
	else if (!strncmp(text, "header=", 7))
		how->header = atoi(text + 7);
	else if (!strncmp(text, "send=", 5))
		how->send = atoi(text + 5);
	else if (!strncmp(text, "offloads=", 9))
		how->offloads = strtoul(text + 9, NULL, 0);
	else if (!strcmp(text, "none"))
		how->none = true;
	else if (!strcmp(text, "tun"))
		how->tun = true;
	else if (!strcmp(text, "filter"))
		how->filter = true;
	else if (!strcmp(text, "epoll"))
		how->epoll = true;
	else
		exit(2);
}

static void set_filter(int fd)
{
	struct sock_filter all = BPF_STMT(BPF_RET | BPF_K, 0xffff);
	struct sock_fprog program = { .len = 1, .filter = &all };

	must(ioctl(fd, TUNATTACHFILTER, &program), "TUNATTACHFILTER");
}

static void wait_for(int fd)
{
	struct epoll_event event = { .events = EPOLLIN };

	must(epoll_ctl(epoll_create1(0), EPOLL_CTL_ADD, fd, &event), "epoll");
}

static void open_queue(const char *name, const struct how *how, int number)
{
	struct ifreq ifr = { .ifr_flags = how->tun ? IFF_TUN : IFF_TAP };
	int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK);

	must(fd, "/dev/net/tun");
	if (how->none)
		return;
	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", name);
	ifr.ifr_flags |= IFF_NO_PI | IFF_VNET_HDR | (how->queues > 1 ? IFF_MULTI_QUEUE : 0);
	must(ioctl(fd, TUNSETIFF, &ifr), "TUNSETIFF");
	must(ioctl(fd, TUNSETVNETHDRSZ, &how->header), "TUNSETVNETHDRSZ");
	must(ioctl(fd, TUNSETOFFLOAD, how->offloads), "TUNSETOFFLOAD");
	if (how->send)
		must(ioctl(fd, TUNSETSNDBUF, &how->send), "TUNSETSNDBUF");
	if (how->filter)
		set_filter(fd);
	if (how->epoll)
		wait_for(fd);
	ifr.ifr_flags = IFF_DETACH_QUEUE;
	if (number && number == how->queues - 1)
		must(ioctl(fd, TUNSETQUEUE, &ifr), "TUNSETQUEUE");
}

static void run(char **args)
{
	struct how how = { .queues = 1, .header = 10 };
	const char *name = *args++;
	int i;

	for (; *args && strcmp(*args, "--"); args++)
		read_how(&how, *args);
	for (i = 0; i < how.queues; i++)
		open_queue(name, &how, i);
	execvp(args[1], args + 1);
	die(args[1]);
}

/* ---- show and traffic: with copies of a process's fds ---- */

static struct tap {
	int number, fd;
	bool is_used; /* it is an interface's, and not taken off */
	struct ifreq ifr;
} taps[TAPS_MAX];
static int nr_taps;

static void find_taps(pid_t pid)
{
	int pidfd = pidfd_open(pid, 0), i, fd;
	struct tap *tap;
	struct stat st;

	must(pidfd, "pidfd_open");
	for (i = 0; i < FDS_MAX && nr_taps < TAPS_MAX; i++) {
		fd = pidfd_getfd(pidfd, i, 0);
		if (fd < 0)
			continue;
		if (fstat(fd, &st) || !S_ISCHR(st.st_mode) || st.st_rdev != makedev(10, 200)) {
			close(fd);
			continue;
		}
		tap = &taps[nr_taps++];
		tap->number = i;
		tap->fd = fd;
		tap->is_used = !ioctl(fd, TUNGETIFF, &tap->ifr) &&
			       !(tap->ifr.ifr_flags & IFF_DETACH_QUEUE);
	}
}

static void show_features(const char *name)
{
	struct {
		struct ethtool_gfeatures head;
		struct ethtool_get_features_block blocks[4];
	} features = { .head = { .cmd = ETHTOOL_GFEATURES, .size = 4 } };
	struct ifreq ifr = { .ifr_data = (void *)&features };
	int sock = socket(AF_UNIX, SOCK_DGRAM, 0);
	unsigned int i;

	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", name);
	must(ioctl(sock, SIOCETHTOOL, &ifr), "ETHTOOL_GFEATURES");
	for (i = 0; i < features.head.size && i < 4; i++)
		printf(" %08x/%08x", features.blocks[i].requested, features.blocks[i].active);
	close(sock);
}

static void show_files(const char *name)
{
	static const char *const files[] = { "address", "mtu",	 "tx_queue_len", "flags",
					     "owner",	"group", "tun_flags" };
	char path[128], text[64];
	unsigned int i;
	FILE *file;

	for (i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		snprintf(path, sizeof(path), "/sys/class/net/%s/%s", name, files[i]);
		file = fopen(path, "r");
		/* A tun has no address. */
		if (!file || fscanf(file, "%63s", text) != 1)
			strcpy(text, "none");
		printf(" %s=%s", files[i], text);
		if (file)
			fclose(file);
	}
}

static void show(const struct tap *tap)
{
	const char *name = tap->ifr.ifr_name;
	int header, send, little;

	printf("fd %d: flags %o", tap->number, fcntl(tap->fd, F_GETFL));
	if (!*name) {
		printf(" no interface\n");
		return;
	}
	must(ioctl(tap->fd, TUNGETVNETHDRSZ, &header), "TUNGETVNETHDRSZ");
	must(ioctl(tap->fd, TUNGETSNDBUF, &send), "TUNGETSNDBUF");
	must(ioctl(tap->fd, TUNGETVNETLE, &little), "TUNGETVNETLE");
	printf(" %s %#x header %d send %d little %d", name, (unsigned short)tap->ifr.ifr_flags,
	       header, send, little);
	show_files(name);
	show_features(name);
	printf("\n");
}

/* A frame is its number, and what follows from that. */
static void make_frame(uint8_t *frame, int number)
{
	int i;

	memset(frame, 0xff, ETH_ALEN);
	memset(frame + ETH_ALEN, 2, ETH_ALEN);
	frame[12] = ETHER_TYPE >> 8;
	frame[13] = ETHER_TYPE & 0xff;
	for (i = ETH_HLEN; i < FRAME_LEN; i++)
		frame[i] = number * 7 + i * 13;
}

/* Other frames, the kernel's own, may come between; and a tap's come through any of its queues. */
static bool receive(struct pollfd *ready, int count, int head, int number)
{
	uint8_t frame[HEADER_MAX + 2048], wanted[FRAME_LEN];
	int i;

	make_frame(wanted, number);
	while (poll(ready, count, WAIT_MS) > 0) {
		for (i = 0; i < count; i++) {
			if (ready[i].revents &&
			    read(ready[i].fd, frame, sizeof(frame)) == head + FRAME_LEN &&
			    !memcmp(frame + head, wanted, FRAME_LEN))
				return true;
		}
	}
	return false;
}

static int open_packets(const struct tap *tap)
{
	struct sockaddr_ll to = { .sll_family = AF_PACKET, .sll_protocol = htobe16(ETHER_TYPE) };
	int sock = socket(AF_PACKET, SOCK_RAW, htobe16(ETHER_TYPE));
	struct ifreq ifr = tap->ifr;

	must(sock, "AF_PACKET");
	must(ioctl(sock, SIOCGIFINDEX, &ifr), "SIOCGIFINDEX");
	to.sll_ifindex = ifr.ifr_ifindex;
	must(bind(sock, (struct sockaddr *)&to, sizeof(to)), "bind");
	return sock;
}

static void traffic(const struct tap *tap)
{
	struct pollfd outside = { .fd = open_packets(tap), .events = POLLIN }, queues[TAPS_MAX];
	uint8_t frame[HEADER_MAX + FRAME_LEN] = {};
	int header = 0, i, in = 0, out = 0, count = 0;

	must(ioctl(tap->fd, TUNGETVNETHDRSZ, &header), "TUNGETVNETHDRSZ");
	for (i = 0; i < nr_taps; i++)
		if (taps[i].is_used && !strcmp(taps[i].ifr.ifr_name, tap->ifr.ifr_name))
			queues[count++] = (struct pollfd){ .fd = taps[i].fd, .events = POLLIN };
	for (i = 0; i < FRAMES; i++) {
		make_frame(frame + header, i);
		if (write(tap->fd, frame, header + FRAME_LEN) == header + FRAME_LEN)
			in += receive(&outside, 1, 0, i);
		if (send(outside.fd, frame + header, FRAME_LEN, 0) == FRAME_LEN)
			out += receive(queues, count, header, i);
	}
	close(outside.fd);
	printf("fd %d: %d and %d of %d frames\n", tap->number, in, out, FRAMES);
	if (in != FRAMES || out != FRAMES)
		exit(1);
}

int main(int argc, char **argv)
{
	int i;

	if (argc > 3 && !strcmp(argv[1], "run"))
		run(argv + 2);
	if (argc != 3)
		return 2;
	find_taps(atoi(argv[2]));
	for (i = 0; i < nr_taps; i++) {
		if (!strcmp(argv[1], "show"))
			show(&taps[i]);
		else if (taps[i].is_used)
			traffic(&taps[i]);
	}
	return 0;
}
