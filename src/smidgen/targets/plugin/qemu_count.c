/* Counts the instructions of firmware in QEMU: a TCG plugin that hands every block to smg_count_block.
 *
 * QEMU's own header is often not installed with it, so that what is needed of version 1 of its interface
 * stands here. The counter lies in the file `counter=PATH`, which the runner maps too: an smg_block_counter
 * whose pointers are offsets in the file, and behind it its arrays.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "block_counter.h"

typedef uint64_t plugin_id;
struct qemu_plugin_tb;
enum { NO_REGISTERS = 0 };

size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
uint64_t qemu_plugin_tb_vaddr(const struct qemu_plugin_tb *tb);
void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id id, void (*call)(plugin_id, struct qemu_plugin_tb *));
void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *tb, void (*call)(unsigned, void *),
                                          int registers, void *given);

#define EXPORTED __attribute__((visibility("default")))

EXPORTED extern const int qemu_plugin_version;
EXPORTED int qemu_plugin_install(plugin_id id, const void *info, int count, char **arguments);

const int qemu_plugin_version = 1;

typedef struct {
    uint64_t address, instructions;
} block;

static smg_block_counter *counter;

static void executed(unsigned cpu, void *given) {
    const block *b = given;
    (void)cpu;
    smg_count_block(counter, b->address, b->instructions);
}

/* A block's record lives as long as the process: there are as many as pieces of code. */
static void translated(plugin_id id, struct qemu_plugin_tb *tb) {
    block *b = malloc(sizeof *b);
    (void)id;
    if (b == NULL)
        abort();
    *b = (block){qemu_plugin_tb_vaddr(tb), qemu_plugin_tb_n_insns(tb)};
    qemu_plugin_register_vcpu_tb_exec_cb(tb, executed, NO_REGISTERS, b);
}

static void *mapped(const char *path) {
    struct stat found;
    const int file = open(path, O_RDWR);
    if (file < 0 || fstat(file, &found) != 0)
        return MAP_FAILED;
    return mmap(NULL, (size_t)found.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
}

int qemu_plugin_install(plugin_id id, const void *info, int count, char **arguments) {
    static const char key[] = "counter=";
    (void)info;
    if (count != 1 || strncmp(arguments[0], key, sizeof key - 1) != 0)
        return 1;
    uint8_t *base = mapped(arguments[0] + sizeof key - 1);
    if (base == MAP_FAILED)
        return 1;
    counter = (smg_block_counter *)base;
    counter->code = base + (uintptr_t)counter->code;
    counter->starts = base + (uintptr_t)counter->starts;
    counter->executed = (uint64_t *)(base + (uintptr_t)counter->executed);
    counter->calls = (uint64_t *)(base + (uintptr_t)counter->calls);
    counter->first = (uint64_t *)(base + (uintptr_t)counter->first);
    qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
    return 0;
}
