// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a tap's interface is like beyond its flags: read at a dump, set at a restore.
 *
 * The kernel tells all of it but the offloads that the VMM has set (TUNSETOFFLOAD), which are found
 * again in the features that the interface is wanted to have: set_offload() of drivers/net/tun.c.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/ethtool.h>
#include <linux/if_arp.h>
#include <linux/sockios.h>

#include "tap.h"

#define BLOCK_BITS   32 /* of a word of ethtool's features */
#define ETHER_LEN    6
#define FEATURES_MAX 1024
#define UP_FLAGS     (IFF_UP | IFF_PROMISC | IFF_ALLMULTI)

/* net/ethtool/common.c: netdev_features_strings */
static const struct {
	const char *feature;
	uint32_t offload;
} offloads[] = {
	{ "tx-checksum-ip-generic", TUN_F_CSUM },
	{ "tx-tcp-segmentation", TUN_F_TSO4 },
	{ "tx-tcp6-segmentation", TUN_F_TSO6 },
	{ "tx-tcp-ecn-segmentation", TUN_F_TSO_ECN },
	{ "tx-udp-segmentation", TUN_F_USO4 | TUN_F_USO6 },
};

int open_interfaces(void)
{
	int sock = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (sock < 0)
		pr_perror("No socket to ask for interfaces with");
	return sock;
}

static int ask(int sock, const KvmCriu__Tap *tap, unsigned long cmd, struct ifreq *ifr,
	       const char *what)
{
	snprintf(ifr->ifr_name, sizeof(ifr->ifr_name), "%s", tap->name);
	if (!ioctl(sock, cmd, ifr))
		return 0;
	pr_perror("Tap %s: %s", tap->name, what);
	return -1;
}

static int ask_tun(const KvmCriu__Tap *tap, int fd, unsigned long cmd, void *arg, const char *what)
{
	if (!ioctl(fd, cmd, arg))
		return 0;
	pr_perror("Tap %s: %s", tap->name, what);
	return -1;
}

/* ---- offloads ---- */

static int ask_ethtool(int sock, const KvmCriu__Tap *tap, void *request)
{
	struct ifreq ifr = { .ifr_data = request };

	return ask(sock, tap, SIOCETHTOOL, &ifr, "its features can't be read");
}

static int count_features(int sock, const KvmCriu__Tap *tap, uint32_t *count)
{
	/* It ends with the one number that is asked for. */
	uint64_t request[sizeof(struct ethtool_sset_info) / sizeof(uint64_t) + 1] = { 0 };
	struct ethtool_sset_info *info = (void *)request;

	info->cmd = ETHTOOL_GSSET_INFO;
	info->sset_mask = 1ULL << ETH_SS_FEATURES;
	if (ask_ethtool(sock, tap, request))
		return -1;
	*count = info->data[0];
	if (info->sset_mask && *count && *count <= FEATURES_MAX)
		return 0;
	pr_err("Tap %s: the kernel does not name its features\n", tap->name);
	return -1;
}

static uint32_t wanted_offloads(const struct ethtool_gstrings *names,
				const struct ethtool_gfeatures *features)
{
	uint32_t found = 0, i;
	size_t k;

	for (i = 0; i < names->len; i++) {
		const char *name = (const char *)names->data + i * ETH_GSTRING_LEN;

		if (i / BLOCK_BITS >= features->size ||
		    !(features->features[i / BLOCK_BITS].requested & 1U << i % BLOCK_BITS))
			continue;
		for (k = 0; k < ARRAY_LEN(offloads); k++)
			if (!strncmp(name, offloads[k].feature, ETH_GSTRING_LEN))
				found |= offloads[k].offload;
	}
	return found;
}

static int read_offloads(KvmCriu__Tap *tap, int sock)
{
	struct ethtool_gstrings *names = NULL;
	struct ethtool_gfeatures *features = NULL;
	uint32_t count, blocks;
	int ret = -1;

	if (count_features(sock, tap, &count))
		return -1;
	blocks = (count + BLOCK_BITS - 1) / BLOCK_BITS;
	names = calloc(1, sizeof(*names) + (size_t)count * ETH_GSTRING_LEN);
	features = calloc(1, sizeof(*features) + blocks * sizeof(features->features[0]));
	if (!names || !features) {
		pr_err("Out of memory\n");
		goto out;
	}
	*names = (struct ethtool_gstrings){ .cmd = ETHTOOL_GSTRINGS,
					    .string_set = ETH_SS_FEATURES,
					    .len = count };
	*features = (struct ethtool_gfeatures){ .cmd = ETHTOOL_GFEATURES, .size = blocks };
	if (ask_ethtool(sock, tap, names) || ask_ethtool(sock, tap, features))
		goto out;
	tap->offloads = wanted_offloads(names, features);
	ret = 0;
out:
	free(names);
	free(features);
	return ret;
}

/* ---- the rest ---- */

/* Numbers of sysfs: -1 for an owner or a group that is not set. */
static int read_number(const KvmCriu__Tap *tap, const char *file, int64_t *value)
{
	char path[128];
	FILE *number;
	int got;

	snprintf(path, sizeof(path), "/sys/class/net/%s/%s", tap->name, file);
	number = fopen(path, "re");
	if (!number) {
		pr_perror("Can't open %s", path);
		return -1;
	}
	got = fscanf(number, "%" SCNi64, value);
	fclose(number);
	if (got == 1)
		return 0;
	pr_err("%s has no number\n", path);
	return -1;
}

static int read_by_name(KvmCriu__Tap *tap, int sock)
{
	struct ifreq ifr = {};
	int64_t flags;

	if (ask(sock, tap, SIOCGIFHWADDR, &ifr, "its address can't be read"))
		return -1;
	if (ifr.ifr_hwaddr.sa_family != ARPHRD_ETHER) {
		pr_err("Tap %s can't be saved: its link type is not Ethernet's\n", tap->name);
		return -1;
	}
	tap->has_address = true;
	if (set_bytes(&tap->address, ifr.ifr_hwaddr.sa_data, ETHER_LEN) ||
	    ask(sock, tap, SIOCGIFMTU, &ifr, "its MTU can't be read"))
		return -1;
	tap->mtu = ifr.ifr_mtu;
	if (ask(sock, tap, SIOCGIFTXQLEN, &ifr, "its queue's length can't be read"))
		return -1;
	tap->tx_queue_len = ifr.ifr_qlen;
	if (ask(sock, tap, SIOCGIFFLAGS, &ifr, "its flags can't be read"))
		return -1;
	tap->interface_flags = (unsigned short)ifr.ifr_flags & UP_FLAGS;
	if (read_number(tap, "tun_flags", &flags))
		return -1;
	tap->flags = flags & (TAP_FLAGS | IFF_TUN | IFF_PERSIST);
	return read_number(tap, "owner", &tap->owner) || read_number(tap, "group", &tap->group) ||
			       read_offloads(tap, sock) ?
		       -1 :
		       0;
}

int read_interface(KvmCriu__Tap *tap, int fd)
{
	int sock, ret, header, send, little, big;

	if (ask_tun(tap, fd, TUNGETVNETHDRSZ, &header, "its header's size can't be read") ||
	    ask_tun(tap, fd, TUNGETSNDBUF, &send, "its send buffer can't be read") ||
	    ask_tun(tap, fd, TUNGETVNETLE, &little, "its byte order can't be read"))
		return -1;
	tap->vnet_header = header;
	tap->send_buffer = send;
	tap->little_endian = little;
	/* Few kernels have it. */
	tap->big_endian = !ioctl(fd, TUNGETVNETBE, &big) && big;
	sock = open_interfaces();
	if (sock < 0)
		return -1;
	ret = read_by_name(tap, sock);
	close(sock);
	return ret;
}

int write_queue(const KvmCriu__Tap *tap, int fd)
{
	int header = tap->vnet_header, send = tap->send_buffer, little = tap->little_endian;
	int big = tap->big_endian;

	return ask_tun(tap, fd, TUNSETVNETHDRSZ, &header, "its header's size can't be set") ||
			       ask_tun(tap, fd, TUNSETSNDBUF, &send,
				       "its send buffer can't be set") ||
			       ask_tun(tap, fd, TUNSETVNETLE, &little,
				       "its byte order can't be set") ||
			       (big && ask_tun(tap, fd, TUNSETVNETBE, &big,
					       "its byte order can't be set")) ||
			       ask_tun(tap, fd, TUNSETOFFLOAD, (void *)(uintptr_t)tap->offloads,
				       "its offloads can't be set") ?
		       -1 :
		       0;
}

static int write_by_name(const KvmCriu__Tap *tap, int sock)
{
	struct ifreq ifr = { .ifr_hwaddr.sa_family = ARPHRD_ETHER };

	memcpy(ifr.ifr_hwaddr.sa_data, tap->address.data, ETHER_LEN);
	if (ask(sock, tap, SIOCSIFHWADDR, &ifr, "its address can't be set"))
		return -1;
	ifr.ifr_mtu = tap->mtu;
	if (ask(sock, tap, SIOCSIFMTU, &ifr, "its MTU can't be set"))
		return -1;
	ifr.ifr_qlen = tap->tx_queue_len;
	if (ask(sock, tap, SIOCSIFTXQLEN, &ifr, "its queue's length can't be set") ||
	    ask(sock, tap, SIOCGIFFLAGS, &ifr, "its flags can't be read"))
		return -1;
	ifr.ifr_flags |= tap->interface_flags & UP_FLAGS;
	return ask(sock, tap, SIOCSIFFLAGS, &ifr, "it can't be set up");
}

int write_interface(const KvmCriu__Tap *tap, int fd)
{
	int sock, ret;

	if (tap->address.len != ETHER_LEN) {
		pr_err("Tap %s: its image has an address of another size\n", tap->name);
		return -1;
	}
	if (tap->owner >= 0 &&
	    ask_tun(tap, fd, TUNSETOWNER, (void *)(uintptr_t)tap->owner, "its owner can't be set"))
		return -1;
	if (tap->group >= 0 &&
	    ask_tun(tap, fd, TUNSETGROUP, (void *)(uintptr_t)tap->group, "its group can't be set"))
		return -1;
	sock = open_interfaces();
	if (sock < 0)
		return -1;
	ret = write_by_name(tap, sock);
	close(sock);
	/* Last: from here on it stays when its fd is closed. */
	if (!ret && tap->flags & IFF_PERSIST)
		ret = ask_tun(tap, fd, TUNSETPERSIST, (void *)1, "it can't be made to stay");
	return ret;
}
