/* Calls that hardly any program depends on, observed where an error tells the whole story, and
 * a few more that do not fit elsewhere. */
#include "suite.h"

#include <sys/mount.h>

CASE(mount_errors, NEEDS_ROOT)
{
    CALL("unknown_type", RAW(SYS_mount, "none", ".", "nosuchfs", 0, 0));
    CALL("missing_target", RAW(SYS_mount, "none", "./none", "tmpfs", 0, 0));
    CALL("bad_target", RAW(SYS_mount, "none", BAD_POINTER, "tmpfs", 0, 0));
    CALL("bad_type", RAW(SYS_mount, "none", ".", BAD_POINTER, 0, 0));
}

CASE(umount2_errors, NEEDS_ROOT)
{
    CALL("not_mounted", RAW(SYS_umount2, ".", 0));
    CALL("missing", RAW(SYS_umount2, "./none", 0));
    CALL("flags", RAW(SYS_umount2, ".", 0x100));
}

CASE(swapon_errors, NEEDS_ROOT)
{
    CALL("missing", RAW(SYS_swapon, "./none", 0));
    CALL("off_missing", RAW(SYS_swapoff, "./none"));
    CALL("directory_off", RAW(SYS_swapoff, "."));
}
ALSO(swapon_errors, "swapoff");

CASE(init_module_errors, NEEDS_ROOT)
{
    /* Without modules the kernel has no such call; with them it wants an ELF file. */
    long result = RAW(SYS_init_module, "x", 1, "");
    IS("refused", result == -1 && (errno == ENOEXEC || errno == ENOSYS || errno == EPERM));
}

CASE(iopl_refused_without_right, NEEDS_ROOT | NEEDS_FORK)
{
    CHILD(child)
    {
        NEED(setresuid(65534, 65534, 65534));
        long result = RAW(SYS_iopl, 3);
        IS("iopl", result == -1 && (errno == EPERM || errno == ENOSYS));
        result = RAW(SYS_ioperm, 0x80, 1, 1);
        IS("ioperm", result == -1 && (errno == EPERM || errno == ENOSYS));
    }
    observe_status("child", await(child));
}
ALSO(iopl_refused_without_right, "ioperm");

CASE(acct_errors, NEEDS_ROOT)
{
    long result = RAW(SYS_acct, "./none");
    IS("missing_or_absent", result == -1 && (errno == ENOENT || errno == ENOSYS));
}

CASE(sched_getattr_sizes)
{
    unsigned attributes[16] = {0};
    CALL("get", RAW(SYS_sched_getattr, 0, attributes, sizeof attributes, 0));
    observe_number("policy", attributes[1]);
    CALL("small", RAW(SYS_sched_getattr, 0, attributes, 16, 0));
    CALL("flags", RAW(SYS_sched_getattr, 0, attributes, sizeof attributes, 1));
    CALL("null", RAW(SYS_sched_getattr, 0, 0, sizeof attributes, 0));
}

CASE(sched_rr_get_interval_values)
{
    struct timespec interval = {-1, -1};
    CALL("get", RAW(SYS_sched_rr_get_interval, 0, &interval));
    IS("valid", interval.tv_sec >= 0 && interval.tv_nsec >= 0);
    CALL("negative", RAW(SYS_sched_rr_get_interval, -1, &interval));
    CALL("nobody", RAW(SYS_sched_rr_get_interval, 0x7ffffff0, &interval));
}

CASE(kcmp_same_resources, NEEDS_FORK)
{
    int copy = (int)NEED(dup(0));
    long result = RAW(SYS_kcmp, getpid(), getpid(), 0, 0, copy);
    IS("same_file_or_absent", result == 0 || (result == -1 && (errno == ENOSYS || errno == EPERM)));
}

CASE(io_setup_errors)
{
    unsigned long context = 1;
    /* The context must be zero before; a kernel without AIO has no such call. */
    long result = RAW(SYS_io_setup, 1, &context);
    IS("used_context", result == -1 && (errno == EINVAL || errno == ENOSYS));
    result = RAW(SYS_io_destroy, 0x1234);
    IS("unknown", result == -1 && (errno == EINVAL || errno == ENOSYS));
}
ALSO(io_setup_errors, "io_destroy");

CASE(bpf_refused)
{
    long result = RAW(SYS_bpf, 9999, 0, 0);
    IS("refused", result == -1 && (errno == EINVAL || errno == ENOSYS || errno == EPERM));
}

CASE(modify_ldt_reads)
{
    char entries[64];
    long result = RAW(SYS_modify_ldt, 0, entries, sizeof entries);
    IS("empty_or_absent", result == 0 || (result == -1 && errno == ENOSYS));
}


CASE(sysfs_names)
{
    char name[64];
    long count = RAW(SYS_sysfs, 3);
    /* Newer kernels have dropped the call. */
    IS("count", count > 0 || (count == -1 && errno == ENOSYS));
    long result = RAW(SYS_sysfs, 2, 9999, name);
    IS("unknown", result == -1 && (errno == EINVAL || errno == ENOSYS));
}
