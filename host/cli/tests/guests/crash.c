/* A kernel that dies without a word. */
#include "guest.h"

int main(void) {
    __builtin_trap();
}
