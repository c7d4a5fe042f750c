/* Programs that execve cases start. They answer by exit code, or by what they write to a
 * descriptor that they are told: observations do not survive execve. */
#include "suite.h"

#include <stdio.h>

HELPER(exit)
{
    return argc > 1 ? atoi(argv[1]) : 0;
}

/* fd arguments...: writes each argument in brackets to the descriptor. */
HELPER(arguments)
{
    int fd = argc > 1 ? atoi(argv[1]) : 1;
    for (int i = 2; i < argc; i++)
        dprintf(fd, "[%s]", argv[i]);
    return 0;
}
