/*
 * answer PORT    the floor of a load generator: an SMTP server in one thread that answers, and throws away what it reads
 *
 * What it serves in a second is what the generator and the kernel's TCP can do beside a server that costs next to nothing.
 * It believes that a command comes whole, and looks at its first letter.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CONNECTIONS = 4096 };

static char tail[CONNECTIONS][5]; /* of a message, its last octets */
static char inside[CONNECTIONS];  /* a message is on its way */

static void say(int fd, const char *line)
{
	if (write(fd, line, strlen(line)) < 0 && errno != EPIPE && errno != ECONNRESET)
		err(1, "write");
}

/* hear answers what came; it tells whether the connection goes on. */
static int hear(int fd)
{
	char buf[64 << 10];
	ssize_t n = read(fd, buf, sizeof buf);

	if (n <= 0)
		return 0;
	if (!inside[fd]) {
		switch (buf[0] | 0x20) {
		case 'q':
			say(fd, "221 bye\r\n");
			return 0;
		case 'd':
			inside[fd] = 1;
			memset(tail[fd], 0, sizeof tail[fd]);
			say(fd, "354 go\r\n");
			return 1;
		}
		say(fd, "250 ok\r\n");
		return 1;
	}
	size_t keep = (size_t)n < 5 ? (size_t)n : 5;
	memmove(tail[fd], tail[fd] + keep, 5 - keep);
	memcpy(tail[fd] + 5 - keep, buf + n - keep, keep);
	if (memcmp(tail[fd], "\r\n.\r\n", 5) == 0) {
		inside[fd] = 0;
		say(fd, "250 ok\r\n");
	}
	return 1;
}

int main(int argc, char **argv)
{
	if (argc != 2)
		errx(64, "usage: answer PORT");
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(atoi(argv[1])), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct epoll_event e = { .events = EPOLLIN }, ready[64];
	int l = socket(AF_INET, SOCK_STREAM, 0), on = 1, poll = epoll_create1(0);

	if (l < 0 || setsockopt(l, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0 || bind(l, (struct sockaddr *)&at, sizeof at) < 0 ||
	    listen(l, 1024) < 0)
		err(1, "listen");
	e.data.fd = l;
	if (poll < 0 || epoll_ctl(poll, EPOLL_CTL_ADD, l, &e) < 0)
		err(1, "epoll");
	for (;;) {
		int n = epoll_wait(poll, ready, 64, -1);

		for (int i = 0; i < n; i++) {
			int fd = ready[i].data.fd;

			if (fd != l) {
				if (!hear(fd))
					close(fd);
				continue;
			}
			if ((fd = accept(l, NULL, NULL)) < 0)
				continue;
			if (fd >= CONNECTIONS)
				errx(1, "too many connections");
			inside[fd] = 0;
			e.data.fd = fd;
			if (epoll_ctl(poll, EPOLL_CTL_ADD, fd, &e) < 0)
				err(1, "epoll_ctl");
			say(fd, "220 floor\r\n");
		}
	}
}
