/* Waiting for what another thread or process brings about. */
#include "tests/support/await.h"

#include <unistd.h>

#define LOOK_US 1000
#define LOOKS   30000

bool await_again(int *looks)
{
	(void)usleep(LOOK_US);
	return ++*looks < LOOKS;
}
