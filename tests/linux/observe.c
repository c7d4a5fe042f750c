/* Observations: appended to one record that the processes and threads of a case share. */
#include "observe.h"

#include <stdio.h>

#include "names.h"
#include "suite.h"

struct record {
    unsigned length;
    char text[RECORD_LIMIT];
};

static struct record own_record;
static struct record *record = &own_record;

void record_share(void)
{
    void *shared = mmap(NULL, sizeof *record, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
                        -1, 0);
    if (shared != MAP_FAILED)
        record = shared;
}

void record_clear(void)
{
    memset(record, 0, sizeof *record);
}

const char *record_text(unsigned *length)
{
    unsigned used = __atomic_load_n(&record->length, __ATOMIC_ACQUIRE);
    *length = used < RECORD_LIMIT ? used : RECORD_LIMIT;
    return record->text;
}

/* One line in the making: small, on the stack, so that handlers and threads may observe. */
struct line {
    unsigned length;
    char text[2400];
};

static void put(struct line *line, const char *text)
{
    while (*text && line->length < sizeof line->text)
        line->text[line->length++] = *text++;
}

static void put_unsigned(struct line *line, unsigned long value, unsigned base)
{
    char digits[24];
    unsigned at = sizeof digits;
    digits[--at] = '\0';
    do {
        digits[--at] = "0123456789abcdef"[value % base];
        value /= base;
    } while (value != 0);
    put(line, digits + at);
}

static void put_number(struct line *line, long value)
{
    if (value < 0)
        put(line, "-");
    put_unsigned(line, value < 0 ? -(unsigned long)value : (unsigned long)value, 10);
}

static void begin(struct line *line, const char *key)
{
    line->length = 0;
    put(line, " ");
    put(line, key);
    put(line, "=");
}

static void end(const struct line *line)
{
    unsigned at = __atomic_fetch_add(&record->length, line->length, __ATOMIC_ACQ_REL);
    if (at + line->length <= RECORD_LIMIT)
        memcpy(record->text + at, line->text, line->length);
}

static void put_error(struct line *line, int error)
{
    put(line, error_name(error));
    if (error_name(error)[1] == '?')
        put_number(line, error);
}

static void put_signal(struct line *line, int signal)
{
    static const char *const NAMES[] = {
        "0", "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1",
        "SEGV", "USR2", "PIPE", "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP",
        "TTIN", "TTOU", "URG", "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS"};
    put(line, "SIG");
    if (signal >= 0 && signal < (int)COUNT(NAMES))
        put(line, NAMES[signal]);
    else
        put_number(line, signal);
}

void observe_call(const char *key, long value, int error)
{
    struct line line;
    begin(&line, key);
    if (value == -1) {
        put(&line, "errno:");
        put_error(&line, error);
    } else {
        put_number(&line, value);
    }
    end(&line);
}

void observe_ok(const char *key, long value, int error)
{
    if (value == -1)
        observe_call(key, value, error);
    else
        observe_text(key, NULL);
}

void observe_number(const char *key, long value)
{
    struct line line;
    begin(&line, key);
    put_number(&line, value);
    end(&line);
}

void observe_hex(const char *key, unsigned long value)
{
    struct line line;
    begin(&line, key);
    put(&line, "0x");
    put_unsigned(&line, value, 16);
    end(&line);
}

void observe_error(const char *key, int error)
{
    struct line line;
    begin(&line, key);
    if (error == 0)
        put(&line, "0");
    else
        put_error(&line, error);
    end(&line);
}

static void put_bytes(struct line *line, const unsigned char *bytes, size_t length)
{
    put(line, "\"");
    for (size_t i = 0; i < length && i < 512; i++) {
        char escaped[5];
        if (bytes[i] == '\n')
            strcpy(escaped, "\\n");
        else if (bytes[i] == '"' || bytes[i] == '\\')
            snprintf(escaped, sizeof escaped, "\\%c", bytes[i]);
        else if (bytes[i] < 32 || bytes[i] > 126)
            snprintf(escaped, sizeof escaped, "\\x%02x", bytes[i]);
        else
            snprintf(escaped, sizeof escaped, "%c", bytes[i]);
        put(line, escaped);
    }
    put(line, length > 512 ? "...\"" : "\"");
}

void observe_text(const char *key, const char *text)
{
    struct line line;
    begin(&line, key);
    if (text == NULL)
        put(&line, "ok");
    else
        put_bytes(&line, (const unsigned char *)text, strlen(text));
    end(&line);
}

void observe_bytes(const char *key, const void *bytes, size_t length)
{
    struct line line;
    begin(&line, key);
    put_bytes(&line, bytes, length);
    end(&line);
}

void observe_status(const char *key, int status)
{
    struct line line;
    begin(&line, key);
    if (WIFEXITED(status)) {
        put(&line, "exit:");
        put_number(&line, WEXITSTATUS(status));
    } else if (WIFSIGNALED(status)) {
        put_signal(&line, WTERMSIG(status));
    } else if (WIFCONTINUED(status)) {
        put(&line, "continued");
    } else if (WIFSTOPPED(status)) {
        put(&line, "stopped:");
        put_signal(&line, WSTOPSIG(status));
    } else {
        put(&line, "none");
    }
    end(&line);
}

void observe_signal(const char *key, int signal)
{
    struct line line;
    begin(&line, key);
    put_signal(&line, signal);
    end(&line);
}
