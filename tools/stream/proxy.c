// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The proxy: a thread for each connection, which copies what comes, and one more for what goes
 * back.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "stream/address.h"
#include "stream/proxy.h"

/* What is relayed at a time. */
#define RELAY_SIZE (256 << 10)

/* Far more than multifd ever makes; each is a thread or two. */
#define CONNECTIONS_MAX 1024

/* What a TLS handshake begins with: a record of this type, version 3.x. */
#define TLS_HANDSHAKE 0x16
#define TLS_MAJOR     3

/* Written to the wake pipe by the signal handler; a finished connection writes its pointer. */
#define NO_CONNECTION NULL

/**
 * struct connection - one connection and its other half
 * @proxy: the proxy.
 * @next: in the proxy's list.
 * @from: the end that connected.
 * @to: the end that was connected to, or -1.
 * @thread: copies what comes.
 * @head: the first bytes that came.
 * @head_size: how many.
 * @head_taken: of them, those that have been handed on.
 * @treated: a stream that was packed or unpacked.
 * @back_errno: why nothing goes back any more; 0 when that end has just ended.
 * @stats: of the stream.
 * @ret: how it ended.
 * @err: and why.
 */
struct connection {
	struct proxy *proxy;
	struct connection *next;
	int from;
	int to;
	pthread_t thread;
	uint8_t head[TCE_STREAM_PROBE];
	size_t head_size;
	size_t head_taken;
	bool treated;
	int back_errno;
	struct tce_stream_stats stats;
	int ret;
	struct tce_error err;
};

/**
 * struct proxy - the proxy
 * @job: the command line.
 * @listener: where connections come from.
 * @connections: those that have not ended.
 * @count: how many.
 * @wake: pipe to the main thread.
 * @hooked: a stream has the hooks; others go without.
 * @refused: the last connection could not be taken.
 * @used: a connection has ended.
 * @came: something came through a connection.
 * @failed: something went wrong.
 * @stopped: a signal came.
 */
struct proxy {
	struct job *job;
	struct listener listener;
	struct connection *connections;
	unsigned int count;
	int wake[2];
	bool hooked;
	bool refused;
	bool used;
	bool came;
	bool failed;
	bool stopped;
};

static int signal_wake = -1;

static void stop_proxy(int number)
{
	const struct connection *none = NO_CONNECTION;
	const int sys_errno = errno;

	(void)!write(signal_wake, &none, sizeof(none));
	errno = sys_errno;
}

/* First the bytes that were read already, then the rest. */
static ssize_t read_on(void *ctx, void *buf, size_t len)
{
	struct connection *connection = ctx;
	const struct tce_source rest = tce_fd_source(connection->from);
	const size_t left = connection->head_size - connection->head_taken;

	if (!left)
		return rest.read(rest.ctx, buf, len);
	if (len > left)
		len = left;
	memcpy(buf, connection->head + connection->head_taken, len);
	connection->head_taken += len;
	return (ssize_t)len;
}

/* Copy bytes as they are. Return: 0 at their end, or a negative errno; then @to is who failed. */
static int relay(const struct tce_source *source, int to, bool *to_failed)
{
	const struct tce_sink sink = tce_fd_sink(to);
	void *buf = malloc(RELAY_SIZE);
	ssize_t n;
	int ret = 0;

	*to_failed = false;
	if (!buf)
		return -ENOMEM;
	while (!ret && (n = source->read(source->ctx, buf, RELAY_SIZE)) != 0) {
		ret = n < 0 ? (int)n : sink.write(sink.ctx, buf, (size_t)n);
		*to_failed = n > 0 && ret < 0;
	}
	free(buf);
	return ret;
}

static void *relay_back(void *ctx)
{
	struct connection *connection = ctx;
	const struct tce_source source = tce_fd_source(connection->to);
	bool gone;
	int ret = relay(&source, connection->from, &gone);

	/* If the receiver of the answer has gone, what it has sent tells whether it failed. */
	connection->back_errno = gone ? 0 : -ret;
	/* What has failed at one end has failed for the other; what has ended has only ended. */
	shutdown(connection->from, connection->back_errno ? SHUT_RDWR : SHUT_WR);
	return NULL;
}

static int read_head(struct connection *connection)
{
	const struct tce_source source = tce_fd_source(connection->from);
	ssize_t n;

	while (connection->head_size < sizeof(connection->head)) {
		n = source.read(source.ctx, connection->head + connection->head_size,
				sizeof(connection->head) - connection->head_size);
		if (n < 0)
			return tce_set_error(&connection->err, TCE_ERR_IO, (int)-n,
					     "cannot be read");
		if (!n)
			break;
		connection->head_size += (size_t)n;
	}
	return TCE_OK;
}

/* QEMU's own stream is packed, a packed one unpacked; all else is left alone. */
static bool is_to_be_treated(const struct connection *connection)
{
	const uint8_t *head = connection->head;

	if (connection->head_size < sizeof(connection->head) || !tce_probe_stream(head))
		return false;
	return connection->proxy->job->pack == !memcmp(head, "QEVM", sizeof(connection->head));
}

static int copy_forward(struct connection *connection)
{
	const struct tce_source source = { .read = read_on, .ctx = connection };
	const struct tce_sink sink = tce_fd_sink(connection->to);
	struct proxy *proxy = connection->proxy;
	bool hooked, gone;
	int ret;

	ret = read_head(connection);
	if (ret < 0)
		return ret;
	connection->treated = is_to_be_treated(connection);
	if (connection->treated) {
		hooked = !__atomic_exchange_n(&proxy->hooked, true, __ATOMIC_SEQ_CST);
		return copy_stream(proxy->job, &source, &sink, hooked, &connection->stats,
				   &connection->err);
	}
	if (proxy->job->require && connection->head_size > 1 &&
	    connection->head[0] == TLS_HANDSHAKE && connection->head[1] == TLS_MAJOR)
		return tce_set_error(&connection->err, TCE_ERR_STREAM, 0,
				     "the stream is encrypted, and can't be packed");
	ret = relay(&source, connection->to, &gone);
	if (ret < 0)
		ret = tce_set_error(&connection->err, TCE_ERR_IO, -ret,
				    gone ? "the end that is connected to cannot be written" :
					   "the end that connects cannot be read");
	return ret;
}

/* Let both ends see that the connection has failed, not that it has ended. */
static void cut(struct connection *connection)
{
	const struct linger at_once = { .l_onoff = 1, .l_linger = 0 };

	setsockopt(connection->from, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
	shutdown(connection->from, SHUT_RDWR);
	if (connection->to < 0)
		return;
	setsockopt(connection->to, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
	shutdown(connection->to, SHUT_RDWR);
}

static int run_both_ways(struct connection *connection)
{
	pthread_t back;
	int ret;

	ret = pthread_create(&back, NULL, relay_back, connection);
	if (ret)
		return tce_set_error(&connection->err, TCE_ERR_IO, ret, "cannot start a thread");
	ret = copy_forward(connection);
	if (ret < 0)
		cut(connection);
	else
		shutdown(connection->to, SHUT_WR);
	pthread_join(back, NULL);
	/* Then it is not the sender's fault that its data ends. */
	if (connection->back_errno && (!ret || connection->err.code == TCE_ERR_TORN)) {
		ret = tce_set_error(&connection->err, TCE_ERR_IO, connection->back_errno,
				    "the other end has closed the connection");
		cut(connection);
	}
	return ret;
}

static void *run_connection(void *ctx)
{
	struct connection *connection = ctx;

	connection->to = connect_to(connection->proxy->job->connect, &connection->err);
	connection->ret = connection->to;
	if (connection->to >= 0)
		connection->ret = run_both_ways(connection);
	else
		cut(connection);
	(void)!write(connection->proxy->wake[1], &connection, sizeof(connection));
	return NULL;
}

static void begin_connection(struct proxy *proxy)
{
	const struct timespec pause = { .tv_nsec = 100000000 };
	struct connection *connection;
	int fd = take_connection(&proxy->listener), ret;

	if (fd < 0) {
		/* It has gone again, or there are no more fds for now: said once, tried again. */
		if (!proxy->refused)
			print_warning("a connection cannot be taken: %s", strerror(-fd));
		proxy->refused = true;
		nanosleep(&pause, NULL);
		return;
	}
	proxy->refused = false;
	if (proxy->count == CONNECTIONS_MAX) {
		print_warning("more than %u connections", CONNECTIONS_MAX);
		close(fd);
		return;
	}
	connection = calloc(1, sizeof(*connection));
	if (connection) {
		connection->proxy = proxy;
		connection->from = fd;
		connection->to = -1;
		ret = pthread_create(&connection->thread, NULL, run_connection, connection);
	} else {
		ret = ENOMEM;
	}
	if (ret) {
		print_warning("a connection cannot be taken: %s", strerror(ret));
		proxy->failed = true;
		free(connection);
		close(fd);
		return;
	}
	connection->next = proxy->connections;
	proxy->connections = connection;
	proxy->count++;
	/* One that was handed over is there once. */
	if (!strncmp(proxy->job->connect, "fd:", 3))
		close_listener(&proxy->listener);
}

/* A connection's thread has written that it ends. */
static void end_connection(struct proxy *proxy, struct connection *connection)
{
	struct connection **link = &proxy->connections;

	while (*link != connection)
		link = &(*link)->next;
	*link = connection->next;
	proxy->count--;
	pthread_join(connection->thread, NULL);
	if (connection->treated)
		report_stream(proxy->job, &connection->stats);
	if (connection->ret < 0 && !proxy->stopped)
		print_error(&connection->err);
	proxy->failed |= connection->ret < 0;
	proxy->came |= connection->head_size > 0 || connection->ret < 0;
	proxy->used = true;
	if (connection->to >= 0)
		close(connection->to);
	close(connection->from);
	free(connection);
}

static void stop_connections(struct proxy *proxy)
{
	struct connection *connection;

	/* A thread that waits for somebody to answer would hold up the second signal, too. */
	if (proxy->stopped) {
		close_listener(&proxy->listener);
		_exit(EXIT_FAILED);
	}
	proxy->stopped = true;
	proxy->failed = true;
	close_listener(&proxy->listener);
	for (connection = proxy->connections; connection; connection = connection->next)
		cut(connection);
}

static int serve(struct proxy *proxy)
{
	struct connection *ended;
	struct pollfd fds[2];

	while (proxy->connections || (proxy->listener.fd >= 0 && !proxy->used)) {
		fds[0] = (struct pollfd){ .fd = proxy->wake[0], .events = POLLIN };
		fds[1] = (struct pollfd){ .fd = proxy->listener.fd, .events = POLLIN };
		/* A connection that was handed over is there. */
		if (proxy->listener.single)
			fds[1].events |= POLLOUT;
		if (poll(fds, ARRAY_SIZE(fds), -1) < 0 && errno != EINTR)
			return -errno;
		if (fds[0].revents &&
		    read(proxy->wake[0], &ended, sizeof(ended)) == sizeof(ended)) {
			if (ended != NO_CONNECTION)
				end_connection(proxy, ended);
			else
				stop_connections(proxy);
		} else if (fds[1].revents) {
			begin_connection(proxy);
		}
	}
	return 0;
}

int run_proxy(struct job *job)
{
	const struct sigaction stop = { .sa_handler = stop_proxy, .sa_flags = SA_RESTART };
	struct proxy proxy = { .job = job, .listener.fd = -1 };
	struct tce_error err = TCE_ERROR_INIT;
	int ret;

	if (pipe2(proxy.wake, O_CLOEXEC) < 0) {
		tce_set_error(&err, TCE_ERR_IO, errno, "cannot make a pipe");
		return print_error(&err);
	}
	signal_wake = proxy.wake[1];
	sigaction(SIGINT, &stop, NULL);
	sigaction(SIGTERM, &stop, NULL);
	ret = open_listener(&proxy.listener, job->listen, &err);
	if (ret < 0) {
		print_error(&err);
		proxy.failed = true;
	} else {
		ret = serve(&proxy);
		if (ret < 0) {
			print_warning("poll: %s", strerror(-ret));
			_exit(EXIT_FAILED);
		}
		if (!proxy.came && !proxy.stopped) {
			print_warning("the connection has ended before anything came");
			proxy.failed = true;
		}
	}
	close_listener(&proxy.listener);
	signal(SIGINT, SIG_DFL);
	signal(SIGTERM, SIG_DFL);
	close(proxy.wake[0]);
	close(proxy.wake[1]);
	return proxy.failed ? EXIT_FAILED : EXIT_DONE;
}
