/*
 * stamp [NUMBER@...]: an agent whose first act is to look at the clock. It tells the time, in nanoseconds of
 * CLOCK_MONOTONIC, and the digits of its argument as a number, to the FIFO that it was compiled for. With an argument it
 * then reads its input to the end, as a script does. Static, so that no loader runs before main.
 */
#include <fcntl.h>
#include <stdint.h>
#include <time.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	struct timespec t;
	int64_t report[2] = {0, 0};
	char buf[8192];
	int fd;

	clock_gettime(CLOCK_MONOTONIC, &t);
	report[0] = t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
	if (argc > 1)
		for (const char *p = argv[1]; *p && *p != '@'; p++)
			if (*p >= '0' && *p <= '9')
				report[1] = report[1] * 10 + (*p - '0');
	if ((fd = open(FIFO, O_WRONLY | O_NONBLOCK)) < 0 || write(fd, report, sizeof report) != sizeof report)
		return 75;
	if (argc > 1)
		while (read(0, buf, sizeof buf) > 0)
			;
	return 0;
}
