/*
 * watch DIR PROGRAM: the floor for reacting to a message. For each *.envelope that is moved into DIR, vfork and exec
 * PROGRAM and wait for it. Nothing is claimed, read or recorded.
 */
#define _GNU_SOURCE
#include <err.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/wait.h>
#include <unistd.h>

static void deliver(char *program)
{
	char *argv[] = {program, NULL}, *envp[] = {NULL};
	pid_t pid = vfork();

	if (pid == 0) {
		execve(program, argv, envp);
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, NULL, 0) != pid)
		err(1, "%s", program);
}

int main(int argc, char **argv)
{
	char buf[65536] __attribute__((aligned(__alignof__(struct inotify_event))));
	ssize_t n;
	int fd;

	if (argc != 3)
		errx(64, "usage: watch DIR PROGRAM");
	if ((fd = inotify_init1(IN_CLOEXEC)) < 0 || inotify_add_watch(fd, argv[1], IN_MOVED_TO | IN_CREATE) < 0)
		err(1, "%s", argv[1]);
	if (write(1, "ready\n", 6) != 6)
		err(1, "stdout");
	while ((n = read(fd, buf, sizeof buf)) > 0)
		for (char *p = buf; p < buf + n;) {
			struct inotify_event *e = (struct inotify_event *)p;
			size_t len = e->len ? strlen(e->name) : 0;

			if (len > 9 && strcmp(e->name + len - 9, ".envelope") == 0)
				deliver(argv[2]);
			p += sizeof *e + e->len;
		}
	err(1, "read");
}
