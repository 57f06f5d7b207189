/*
 * commit pair DIR THREADS COUNT     the raw floor: each message two files, an fsync each, two renames, a directory fsync
 * commit single DIR THREADS COUNT   the same with one file, as a maildir delivery
 *
 * DIR holds tmp/ and new/. Prints messages per second.
 */
#define _GNU_SOURCE
#include <err.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static char content[4096], envelope[300];
static int top, newdir;
static long count;
static long next; /* number of the next message, atomic */
static int parts = 2; /* files of a message */

static void put(const char *name, const char *data, size_t size)
{
	int fd = openat(top, name, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0640);

	if (fd < 0 || write(fd, data, size) != (ssize_t)size || fsync(fd) < 0 || close(fd) < 0)
		err(1, "%s", name);
}

static void names(long n, char from[2][64], char to[2][64])
{
	snprintf(from[0], 64, "tmp/%ld.eml", n);
	snprintf(from[1], 64, "tmp/%ld.envelope", n);
	snprintf(to[0], 64, "new/%ld.eml", n);
	snprintf(to[1], 64, "new/%ld.envelope", n);
}

static void written(long n)
{
	char from[2][64], to[2][64];

	names(n, from, to);
	put(from[0], content, sizeof content);
	if (parts > 1)
		put(from[1], envelope, sizeof envelope);
}

static void moved(long n)
{
	char from[2][64], to[2][64];

	names(n, from, to);
	for (int i = 0; i < parts; i++)
		if (renameat2(top, from[i], top, to[i], RENAME_NOREPLACE) < 0)
			err(1, "%s", to[i]);
}

static void *pairs(void *unused)
{
	long n;

	(void)unused;
	while ((n = __atomic_fetch_add(&next, 1, __ATOMIC_RELAXED)) < count) {
		written(n);
		moved(n);
		if (fsync(newdir) < 0)
			err(1, "new");
	}
	return NULL;
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
	if (argc != 5)
		errx(64, "usage: commit pair|single DIR THREADS COUNT");
	int width = atoi(argv[3]);
	pthread_t thread[256];

	count = atol(argv[4]);
	if (width < 1 || width > 256 || count < 1)
		errx(64, "bad number");
	if ((top = open(argv[2], O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
		err(1, "%s", argv[2]);
	if ((newdir = openat(top, "new", O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
		err(1, "new");
	memset(content, 'x', sizeof content);
	memset(envelope, 'y', sizeof envelope);

	if (strcmp(argv[1], "single") == 0)
		parts = 1;
	double began = now();
	for (int i = 0; i < width; i++)
		if (pthread_create(&thread[i], NULL, pairs, NULL) != 0)
			errx(1, "pthread_create");
	for (int i = 0; i < width; i++)
		pthread_join(thread[i], NULL);
	printf("%.1f\n", count / (now() - began));
	return 0;
}
