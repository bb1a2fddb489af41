// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Addresses of the proxy.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "cli.h"
#include "stream/address.h"

/* Connections that may wait to be taken; multifd makes some at once. */
#define BACKLOG	     128

#define HOST_MAX     256
#define PORT_MAX     8
#define PATH_LEN_MAX (sizeof(((struct sockaddr_un *)NULL)->sun_path) - 1)

/* What follows the kind of an address, or NULL when it is of another kind. */
static const char *get_rest(const char *address, const char *kind)
{
	const size_t n = strlen(kind);

	return strncmp(address, kind, n) ? NULL : address + n;
}

/* Take HOST:PORT or [HOST]:PORT apart. */
static bool split_host(const char *text, char host[HOST_MAX], char port[PORT_MAX])
{
	const char *colon = strrchr(text, ':');
	uint64_t number;
	size_t n;

	if (!colon || !parse_number(colon + 1, UINT16_MAX, &number) ||
	    strlen(colon + 1) >= PORT_MAX)
		return false;
	strcpy(port, colon + 1);
	n = (size_t)(colon - text);
	if (n >= 2 && text[0] == '[' && colon[-1] == ']') {
		text++;
		n -= 2;
	}
	if (n >= HOST_MAX)
		return false;
	memcpy(host, text, n);
	host[n] = '\0';
	return true;
}

static bool check_path(const char *option, const char *path)
{
	if (strlen(path) <= PATH_LEN_MAX)
		return true;
	misuse("%s: the path of a unix socket has at most %zu bytes, not %zu", option, PATH_LEN_MAX,
	       strlen(path));
	return false;
}

bool check_address(const char *option, const char *address)
{
	char host[HOST_MAX], port[PORT_MAX];
	const char *rest;
	uint64_t fd;

	rest = get_rest(address, "unix:");
	if (rest && *rest)
		return check_path(option, rest);
	rest = get_rest(address, "tcp:");
	if (rest && split_host(rest, host, port))
		return true;
	rest = get_rest(address, "fd:");
	if (rest && parse_number(rest, INT_MAX, &fd) && fd > STDERR_FILENO &&
	    fcntl((int)fd, F_GETFD) >= 0)
		return true;
	if (rest)
		misuse("%s: '%s' is not an open file descriptor above 2", option, address);
	else
		misuse("%s: '%s' is not unix:PATH, tcp:HOST:PORT or fd:N", option, address);
	return false;
}

/* Return: @fd above the standard ones; see begin_program(): it is already. */
static int new_socket(int family)
{
	return socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

static void set_tcp_options(int fd)
{
	const int on = 1;

	/* Answers are short, and the other side waits for them. Fails if it is not TCP. */
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	/* A host that has vanished says nothing. */
	(void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
}

static void set_unix_name(struct sockaddr_un *sun, const char *path)
{
	memset(sun, 0, sizeof(*sun));
	sun->sun_family = AF_UNIX;
	strncpy(sun->sun_path, path, sizeof(sun->sun_path) - 1);
}

static int listen_unix(const char *path)
{
	struct sockaddr_un sun;
	mode_t mask;
	int fd, ret;

	set_unix_name(&sun, path);
	fd = new_socket(AF_UNIX);
	if (fd < 0)
		return -errno;
	/* A guest's memory goes through it. */
	mask = umask(0177);
	ret = bind(fd, (const struct sockaddr *)&sun, sizeof(sun)) < 0 ? -errno : 0;
	umask(mask);
	if (!ret && listen(fd, BACKLOG) < 0) {
		ret = -errno;
		unlink(path);
	}
	if (ret < 0) {
		close(fd);
		return ret;
	}
	return fd;
}

static int connect_unix(const char *path)
{
	struct sockaddr_un sun;
	int fd, ret;

	set_unix_name(&sun, path);
	fd = new_socket(AF_UNIX);
	if (fd >= 0 && !connect(fd, (const struct sockaddr *)&sun, sizeof(sun)))
		return fd;
	ret = -errno;
	if (fd >= 0)
		close(fd);
	return ret;
}

/* Bind and listen, or connect, at one of a host's addresses. */
static int open_tcp_address(const struct addrinfo *info, bool passive)
{
	const int on = 1;
	int fd = new_socket(info->ai_family), ret;

	if (fd < 0)
		return -errno;
	if (passive) {
		(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
		ret = bind(fd, info->ai_addr, info->ai_addrlen);
		if (!ret)
			ret = listen(fd, BACKLOG);
	} else {
		ret = connect(fd, info->ai_addr, info->ai_addrlen);
	}
	if (ret < 0) {
		ret = -errno;
		close(fd);
		return ret;
	}
	return fd;
}

static int open_tcp(const char *text, bool passive, struct tce_error *err)
{
	const struct addrinfo hints = {
		.ai_flags = passive ? AI_PASSIVE : 0,
		.ai_socktype = SOCK_STREAM,
	};
	struct addrinfo *list, *info;
	char host[HOST_MAX], port[PORT_MAX];
	int ret;

	split_host(text, host, port);
	ret = getaddrinfo(host[0] ? host : NULL, port, &hints, &list);
	if (ret)
		return tce_set_error(err, TCE_ERR_IO, ret == EAI_SYSTEM ? errno : 0, "%s",
				     gai_strerror(ret));
	ret = -EADDRNOTAVAIL;
	for (info = list; info && ret < 0; info = info->ai_next)
		ret = open_tcp_address(info, passive);
	freeaddrinfo(list);
	return ret < 0 ? tce_set_error(err, TCE_ERR_IO, -ret,
				       passive ? "cannot listen" : "cannot connect") :
			 ret;
}

/* A socket that was handed over. */
static int take_fd(const char *text, struct tce_error *err)
{
	struct stat st;
	uint64_t fd = 0;

	parse_number(text, INT_MAX, &fd);
	if (fstat((int)fd, &st) < 0 || !S_ISSOCK(st.st_mode))
		return tce_set_error(err, TCE_ERR_IO, ENOTSOCK, "cannot be used");
	fcntl((int)fd, F_SETFD, FD_CLOEXEC);
	return (int)fd;
}

static bool is_listening(int fd)
{
	socklen_t len = sizeof(int);
	int listening = 0;

	return !getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &len) && listening;
}

/* Say which port it is when any was asked for. */
static void print_port(const char *address, int fd)
{
	struct sockaddr_storage name;
	socklen_t len = sizeof(name);
	char port[PORT_MAX];

	if (strcmp(strrchr(address, ':'), ":0") ||
	    getsockname(fd, (struct sockaddr *)&name, &len) ||
	    getnameinfo((struct sockaddr *)&name, len, NULL, 0, port, sizeof(port), NI_NUMERICSERV))
		return;
	print_warning("listening at port %s", port);
}

int open_listener(struct listener *listener, const char *address, struct tce_error *err)
{
	const char *rest;
	int ret;

	*listener = (struct listener){ .fd = -1 };
	rest = get_rest(address, "unix:");
	if (rest) {
		ret = listen_unix(rest);
		if (ret < 0)
			ret = tce_set_error(err, TCE_ERR_IO, -ret, "cannot listen");
		else
			listener->path = rest;
	} else if ((rest = get_rest(address, "tcp:"))) {
		ret = open_tcp(rest, true, err);
		if (ret >= 0)
			print_port(address, ret);
	} else {
		ret = take_fd(get_rest(address, "fd:"), err);
		listener->single = ret >= 0 && !is_listening(ret);
	}
	if (ret < 0) {
		name_error(err, address);
		return ret;
	}
	listener->fd = ret;
	return TCE_OK;
}

void close_listener(struct listener *listener)
{
	if (listener->fd >= 0)
		close(listener->fd);
	if (listener->path)
		unlink(listener->path);
	listener->fd = -1;
	listener->path = NULL;
}

int take_connection(struct listener *listener)
{
	int fd;

	if (listener->single) {
		fd = listener->fd;
		listener->fd = -1;
	} else {
		fd = accept4(listener->fd, NULL, NULL, SOCK_CLOEXEC);
		if (fd < 0)
			return -errno;
	}
	set_tcp_options(fd);
	return fd;
}

int connect_to(const char *address, struct tce_error *err)
{
	const char *rest;
	int ret;

	rest = get_rest(address, "unix:");
	if (rest) {
		ret = connect_unix(rest);
		if (ret < 0)
			ret = tce_set_error(err, TCE_ERR_IO, -ret, "cannot connect");
	} else if ((rest = get_rest(address, "tcp:"))) {
		ret = open_tcp(rest, false, err);
	} else {
		ret = take_fd(get_rest(address, "fd:"), err);
	}
	if (ret < 0)
		name_error(err, address);
	else
		set_tcp_options(ret);
	return ret;
}
