// SPDX-License-Identifier: GPL-2.0-only
/*
 * Whether anybody has a tap open that has several queues. The kernel gives a tap with one queue to
 * nobody else, but one with several to whoever asks, who then gets a share of its frames.
 */
#include <errno.h>
#include <linux/if_link.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tap.h"

#define ANSWER_SIZE (1 << 15) /* what iproute2 has for one interface */

/* Put the payload of an attribute of that type into @value. Return: its size, 0 without one. */
static size_t find_attribute(const void *attributes, size_t len, unsigned short type,
			     const void **value)
{
	const struct rtattr *at = attributes;
	int left = len;

	for (; RTA_OK(at, left); at = RTA_NEXT(at, left)) {
		if ((at->rta_type & NLA_TYPE_MASK) != type)
			continue;
		*value = RTA_DATA(at);
		return RTA_PAYLOAD(at);
	}
	return 0;
}

/* Ask the kernel about an interface. Return: the length of its answer, or -1. */
static ssize_t ask_link(const char *name, void *answer, size_t size)
{
	struct {
		struct nlmsghdr head;
		struct ifinfomsg info;
		struct rtattr attr;
		char name[IFNAMSIZ];
	} request = {
		.head = { .nlmsg_len = sizeof(request),
			  .nlmsg_type = RTM_GETLINK,
			  .nlmsg_flags = NLM_F_REQUEST },
		.attr = { .rta_len = RTA_LENGTH(IFNAMSIZ), .rta_type = IFLA_IFNAME },
	};
	int sock = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	ssize_t len = -1;

	snprintf(request.name, sizeof(request.name), "%s", name);
	if (sock >= 0 && send(sock, &request, sizeof(request), 0) == sizeof(request))
		len = recv(sock, answer, size, 0);
	if (len < 0)
		pr_perror("Tap %s: the kernel can't be asked who has it", name);
	if (sock >= 0)
		close(sock);
	return len;
}

/* The part of the answer that only tuns have. Return: its length, 0 if the interface is no tun. */
static size_t find_tun_data(const struct nlmsghdr *head, const void **data)
{
	static const char tun[] = "tun";
	const char *attributes = (const char *)NLMSG_DATA(head) +
				 NLMSG_ALIGN(sizeof(struct ifinfomsg));
	const void *info, *kind;
	size_t len = find_attribute(attributes, NLMSG_PAYLOAD(head, sizeof(struct ifinfomsg)),
				    IFLA_LINKINFO, &info);

	if (!len || find_attribute(info, len, IFLA_INFO_KIND, &kind) != sizeof(tun) ||
	    memcmp(kind, tun, sizeof(tun)))
		return 0;
	return find_attribute(info, len, IFLA_INFO_DATA, data);
}

int count_queues(const char *name, unsigned int *count)
{
	static const unsigned short kinds[] = { IFLA_TUN_NUM_QUEUES, IFLA_TUN_NUM_DISABLED_QUEUES };
	_Alignas(struct nlmsghdr) char answer[ANSWER_SIZE];
	ssize_t got = ask_link(name, answer, sizeof(answer));
	const struct nlmsghdr *head = (void *)answer;
	const void *data, *value;
	uint32_t queues;
	size_t len, i;

	if (got < 0)
		return -1;
	if (!NLMSG_OK(head, (size_t)got) || head->nlmsg_type != RTM_NEWLINK) {
		pr_err("Tap %s: the kernel does not say who has it\n", name);
		return -1;
	}
	*count = 0;
	len = find_tun_data(head, &data);
	for (i = 0; len && i < ARRAY_LEN(kinds); i++) {
		if (find_attribute(data, len, kinds[i], &value) != sizeof(queues))
			continue;
		memcpy(&queues, value, sizeof(queues));
		*count += queues;
	}
	return 0;
}
