/*
 * stamp: an agent whose first act is to look at the clock. It tells the time, in nanoseconds of CLOCK_MONOTONIC, to
 * the FIFO that it was compiled for. Static, so that no loader runs before main.
 */
#include <fcntl.h>
#include <stdint.h>
#include <time.h>
#include <unistd.h>

int main(void)
{
	struct timespec t;
	int64_t ns;
	int fd;

	clock_gettime(CLOCK_MONOTONIC, &t);
	ns = t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
	if ((fd = open(FIFO, O_WRONLY | O_NONBLOCK)) < 0 || write(fd, &ns, sizeof ns) != sizeof ns)
		return 75;
	return 0;
}
