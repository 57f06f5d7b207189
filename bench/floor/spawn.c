/*
 * spawn THREADS COUNT PROGRAM: the floor for handing messages to a program: vfork, exec, wait, COUNT times, from THREADS
 * threads. Prints programs per second.
 */
#define _GNU_SOURCE
#include <err.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static long count, next; /* next is atomic */
static char *program;

static void *spawn(void *unused)
{
	char *argv[] = {program, NULL}, *envp[] = {NULL};

	(void)unused;
	while (__atomic_fetch_add(&next, 1, __ATOMIC_RELAXED) < count) {
		int status;
		pid_t pid = vfork();

		if (pid == 0) {
			execve(program, argv, envp);
			_exit(127);
		}
		if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0)
			err(1, "%s", program);
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
	pthread_t thread[64];
	double began;
	int width;

	if (argc != 4)
		errx(64, "usage: spawn THREADS COUNT PROGRAM");
	width = atoi(argv[1]);
	count = atol(argv[2]);
	program = argv[3];
	if (width < 1 || width > 64 || count < 1)
		errx(64, "bad number");
	began = now();
	for (int i = 0; i < width; i++)
		if (pthread_create(&thread[i], NULL, spawn, NULL) != 0)
			errx(1, "pthread_create");
	for (int i = 0; i < width; i++)
		pthread_join(thread[i], NULL);
	printf("%.1f\n", count / (now() - began));
	return 0;
}
