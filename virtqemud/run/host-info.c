/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "host-info.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "../def/cpu-set.h"
#include "fd.h"
#include "mem.h"
#include "str.h"

#define SMALL_FILE ((size_t) 64 * 1024)
#define CPUINFO_HEAD ((size_t) 16 * 1024)   /* the first processor's part; the others' are the same */

/* --- small files of the kernel --- */

/* New string without the line's end; NULL: there is none. Of a file that is longer its head is enough. */
static char *read_head(const char *root, const char *path, size_t max) {
        _cleanup_free_ char *whole = strf("%s%s", root, path), *text = new0(char, max + 1);
        _cleanup_fd_ int fd = whole ? open(whole, O_RDONLY | O_CLOEXEC | O_NOCTTY) : -1;
        size_t n = 0;
        ssize_t k;

        if (fd < 0 || !text)
                return NULL;
        while (n < max && (k = read(fd, text + n, max - n)) > 0)
                n += (size_t) k;
        while (n > 0 && (text[n - 1] == '\n' || text[n - 1] == ' '))
                text[--n] = '\0';
        return TAKE_PTR(text);
}

static char *read_small(const char *root, const char *fmt, ...) _printf_(2, 3);
static char *read_small(const char *root, const char *fmt, ...) {
        _cleanup_free_ char *path = NULL;
        va_list ap;
        int n;

        va_start(ap, fmt);
        n = vasprintf(&path, fmt, ap);
        va_end(ap);
        return n < 0 ? NULL : read_head(root, path, SMALL_FILE);
}

static uint64_t number_or(const char *text, uint64_t otherwise) {
        uint64_t n;

        return text && parse_u64(text, 10, &n) >= 0 ? n : otherwise;
}

/* "0-3,8" as numbers. */
static int read_list(const char *text, uint32_t **ret, size_t *ret_n) {
        _cleanup_free_ uint8_t *set = NULL;
        _cleanup_free_ uint32_t *numbers = NULL;
        size_t n_set, n = 0;
        int r = text ? cpu_set_read(text, &set, &n_set) : -ENOENT;

        if (r < 0)
                return r;
        numbers = new0(uint32_t, n_set * 8);
        if (!numbers)
                return -ENOMEM;
        for (uint32_t i = 0; i < n_set * 8; i++)
                if (set[i / 8] & (1u << i % 8))
                        numbers[n++] = i;
        *ret = TAKE_PTR(numbers);
        *ret_n = n;
        return 0;
}

/* --- the processor --- */

/* "model name\t: AMD EPYC": the part behind the colon of the first such line; new string. */
static char *cpuinfo_field(const char *text, const char *name) {
        for (const char *line = text; line; line = strchr(line, '\n')) {
                const char *rest;

                line += *line == '\n';
                rest = str_after(line, name);
                if (rest)
                        rest += strspn(rest, " \t");
                if (!rest || *rest != ':')
                        continue;
                rest++;
                rest += strspn(rest, " \t");
                return strndup(rest, strcspn(rest, "\n"));
        }
        return NULL;
}

static uint32_t cpuinfo_number(const char *text, const char *name) {
        _cleanup_free_ char *value = cpuinfo_field(text, name);

        return value ? (uint32_t) strtoul(value, NULL, 0) : 0;
}

static int split_words(char *text, char ***ret) {
        size_t n = 0;
        char *word, *rest = text;
        int r = 0;

        while (r >= 0 && (word = strsep(&rest, " ")))
                if (*word)
                        r = strv_push_nth(ret, &n, word);
        return r;
}

static int read_processor(HostInfo *h, const char *root) {
        _cleanup_free_ char *text = read_head(root, "/proc/cpuinfo", CPUINFO_HEAD), *flags = NULL;
        struct utsname u;

        (void) uname(&u);
        h->arch = strdup(u.machine);
        if (!h->arch)
                return -ENOMEM;
        if (!text)
                return 0;
        h->model = cpuinfo_field(text, "model name");
        h->vendor = cpuinfo_field(text, "vendor_id");
        h->family = cpuinfo_number(text, "cpu family");
        h->model_number = cpuinfo_number(text, "model");
        h->stepping = cpuinfo_number(text, "stepping");
        h->microcode = cpuinfo_number(text, "microcode");
        h->address_bits = cpuinfo_number(text, "address sizes");
        flags = cpuinfo_field(text, "flags") ?: cpuinfo_field(text, "Features");
        return flags ? split_words(flags, &h->flags) : 0;
}

/* --- pages --- */

static int compare_pages(const void *a, const void *b) {
        const HostPages *x = a, *y = b;

        return (x->size > y->size) - (x->size < y->size);
}

/* The kernel has a folder hugepages-2048kB for each size. */
static int read_pages(const char *root, const char *folder, HostPagesList *list) {
        _cleanup_free_ char *path = strf("%s%s", root, folder);
        DIR *d = path ? opendir(path) : NULL;
        struct dirent *e;
        int r = path ? 0 : -ENOMEM;

        while (d && r >= 0 && (e = readdir(d))) {
                const char *size = str_after(e->d_name, "hugepages-");
                _cleanup_free_ char *total = NULL, *unused = NULL;
                uint64_t kib = size ? strtoull(size, NULL, 10) : 0;

                if (kib == 0)
                        continue;
                if (!GROW(list->items, list->allocated, list->n + 1)) {
                        r = -ENOMEM;
                        break;
                }
                total = read_small(root, "%s/%s/nr_hugepages", folder, e->d_name);
                unused = read_small(root, "%s/%s/free_hugepages", folder, e->d_name);
                list->items[list->n++] = (HostPages) { kib * 1024, number_or(total, 0), number_or(unused, 0) };
        }
        if (d)
                closedir(d);
        if (list->n > 0)
                qsort(list->items, list->n, sizeof(*list->items), compare_pages);
        return r;
}

/* --- nodes --- */

/* "Node 0 MemTotal:  24681 kB", and the same without "Node 0 ". */
static uint64_t meminfo_bytes(const char *text, const char *name) {
        const char *p = text ? strstr(text, name) : NULL;

        return p ? strtoull(p + strlen(name), NULL, 10) * 1024 : 0;
}

/* Those in large pages are none of the usual ones. */
static int add_usual_pages(HostNode *node) {
        uint64_t size = (uint64_t) sysconf(_SC_PAGESIZE), large = 0;
        HostPagesList *list = &node->pages;

        for (size_t i = 0; i < list->n; i++)
                large += list->items[i].size * list->items[i].total;
        if (!GROW(list->items, list->allocated, list->n + 1))
                return -ENOMEM;
        if (list->n > 0)
                memmove(list->items + 1, list->items, list->n * sizeof(*list->items));
        list->n++;
        list->items[0] = (HostPages) { size, (node->memory - MIN(large, node->memory)) / size, node->free / size };
        return 0;
}

static int read_distances(HostNode *node, char *text) {
        char *word, *rest = text;

        while (rest && node->n_distances < HOST_NODES_MAX && (word = strsep(&rest, " "))) {
                if (!GROW(node->distances, node->allocated_distances, node->n_distances + 1))
                        return -ENOMEM;
                node->distances[node->n_distances++] = (uint32_t) number_or(word, 0);
        }
        return 0;
}

static HostNode *new_node(HostInfo *h, uint32_t id) {
        if (!GROW(h->nodes, h->allocated_nodes, h->n_nodes + 1))
                return NULL;
        h->nodes[h->n_nodes].id = id;
        return &h->nodes[h->n_nodes++];
}

static int read_node(HostInfo *h, const char *root, uint32_t id) {
        _cleanup_free_ char *memory = read_small(root, "/sys/devices/system/node/node%u/meminfo", id),
                            *distances = read_small(root, "/sys/devices/system/node/node%u/distance", id),
                            *folder = strf("/sys/devices/system/node/node%u/hugepages", id);
        HostNode *node = folder ? new_node(h, id) : NULL;
        int r;

        if (!node)
                return -ENOMEM;
        node->memory = meminfo_bytes(memory, "MemTotal:");
        node->free = meminfo_bytes(memory, "MemFree:");
        r = read_pages(root, folder, &node->pages);
        if (r >= 0)
                r = add_usual_pages(node);
        return r < 0 ? r : read_distances(node, distances);
}

/* A kernel without NUMA has one node that nobody has written down. */
static int read_only_node(HostInfo *h, const char *root) {
        _cleanup_free_ char *memory = read_small(root, "/proc/meminfo");
        HostNode *node = new_node(h, 0);
        int r;

        if (!node)
                return -ENOMEM;
        node->memory = meminfo_bytes(memory, "MemTotal:");
        node->free = meminfo_bytes(memory, "MemFree:");
        r = read_pages(root, "/sys/kernel/mm/hugepages", &node->pages);
        return r < 0 ? r : add_usual_pages(node);
}

static int read_nodes(HostInfo *h, const char *root) {
        _cleanup_free_ char *text = read_small(root, "/sys/devices/system/node/online");
        _cleanup_free_ uint32_t *ids = NULL;
        size_t n = 0;
        int r = read_list(text, &ids, &n);

        if (r == -ENOMEM)
                return r;
        for (size_t i = 0; i < n && i < HOST_NODES_MAX; i++) {
                r = read_node(h, root, ids[i]);
                if (r < 0)
                        return r;
        }
        return h->n_nodes > 0 ? 0 : read_only_node(h, root);
}

/* --- processors --- */

static uint32_t topology_number(const char *root, uint32_t cpu, const char *name, uint32_t otherwise) {
        _cleanup_free_ char *text = read_small(root, "/sys/devices/system/cpu/cpu%u/topology/%s", cpu, name);

        return (uint32_t) number_or(text, otherwise); /* "-1": the kernel does not know either */
}

static int add_processor(HostInfo *h, const char *root, uint32_t id, uint32_t node) {
        HostProcessor *p;

        if (!GROW(h->processors, h->allocated_processors, h->n_processors + 1))
                return -ENOMEM;
        p = &h->processors[h->n_processors++];
        *p = (HostProcessor) {
                .id = id, .node = node,
                .socket = topology_number(root, id, "physical_package_id", 0),
                .die = topology_number(root, id, "die_id", 0),
                .core = topology_number(root, id, "core_id", id),
        };
        p->siblings = read_small(root, "/sys/devices/system/cpu/cpu%u/topology/thread_siblings_list", id);
        if (!p->siblings)
                p->siblings = strf("%u", id);
        return p->siblings ? 0 : -ENOMEM;
}

static int compare_processors(const void *a, const void *b) {
        const HostProcessor *x = a, *y = b;

        return (x->id > y->id) - (x->id < y->id);
}

static int compare_ids(const void *a, const void *b) {
        const uint32_t *x = a, *y = b;

        return (*x > *y) - (*x < *y);
}

/* A node lists also those that are offline. */
static int add_processors_of(HostInfo *h, const char *root, uint32_t node, const char *list, const uint32_t *online,
                             size_t n_online) {
        _cleanup_free_ uint32_t *ids = NULL;
        size_t n = 0;
        int r = read_list(list, &ids, &n);

        if (r == -ENOMEM)
                return r;
        r = 0;
        for (size_t i = 0; i < n && r >= 0 && h->n_processors < HOST_PROCESSORS_MAX; i++)
                if (!online || bsearch(&ids[i], online, n_online, sizeof(*online), compare_ids))
                        r = add_processor(h, root, ids[i], node);
        return r;
}

static int read_processors(HostInfo *h, const char *root) {
        _cleanup_free_ char *all = read_small(root, "/sys/devices/system/cpu/online");
        _cleanup_free_ uint32_t *online = NULL;
        size_t n = 0;
        int r = read_list(all, &online, &n);

        if (r == -ENOMEM)
                return r;
        r = 0;
        for (size_t i = 0; i < h->n_nodes && r >= 0; i++) {
                _cleanup_free_ char *list = read_small(root, "/sys/devices/system/node/node%u/cpulist", h->nodes[i].id);

                r = add_processors_of(h, root, h->nodes[i].id, list, online, n);
        }
        if (r >= 0 && h->n_processors == 0)
                r = add_processors_of(h, root, h->nodes[0].id, all ?: "0", NULL, 0);
        if (h->n_processors > 0)
                qsort(h->processors, h->n_processors, sizeof(*h->processors), compare_processors);
        return r;
}

/* --- the rest --- */

static uint32_t count_groups(const char *root) {
        _cleanup_free_ char *path = strf("%s/sys/kernel/iommu_groups", root);
        DIR *d = path ? opendir(path) : NULL;
        const struct dirent *e;
        uint32_t n = 0;

        while (d && (e = readdir(d)))
                n += e->d_name[0] != '.';
        if (d)
                closedir(d);
        return n;
}

/* Parameters of the module that are switches, and on. */
static int read_kvm(HostInfo *h, const char *root) {
        static const char *const modules[] = { "kvm_intel", "kvm_amd", "kvm" };
        static const char *const switches[] = {
                "nested", "sev", "sev_es", "sev_snp", "tdx", "sgx", "ept", "npt", "avic", "enable_apicv", "vgif",
        };
        int r = 0;

        for (size_t i = 0; i < ARRAY_SIZE(modules); i++)
                for (size_t k = 0; k < ARRAY_SIZE(switches) && r >= 0; k++) {
                        _cleanup_free_ char *value = read_small(root, "/sys/module/%s/parameters/%s", modules[i], switches[k]);

                        if (value && (streq(value, "Y") || streq(value, "1")))
                                r = strv_push(&h->kvm_features, switches[k]);
                }
        return r;
}

/* The machine's own, where it says one and we may know; else one of this system that can't be traced back. */
static void read_uuid(HostInfo *h, const char *root) {
        static const sd_id128_t salt = SD_ID128_MAKE(3d, 0f, 5c, 1e, 9a, 41, 4c, 7b, 8e, 2d, 66, 90, 1f, b3, 57, aa);
        _cleanup_free_ char *text = read_small(root, "/sys/class/dmi/id/product_uuid");

        if (!text || sd_id128_from_string(text, &h->uuid) < 0 || sd_id128_is_null(h->uuid))
                (void) sd_id128_get_machine_app_specific(salt, &h->uuid);
}

int host_info_read(const char *root, HostInfo **ret) {
        _cleanup_(host_info_freep) HostInfo *h = NULL;
        int r;

        assert(root && ret);

        h = new0(HostInfo, 1);
        if (!h)
                return -ENOMEM;
        read_uuid(h, root);
        r = read_processor(h, root);
        if (r >= 0)
                r = read_nodes(h, root);
        if (r >= 0)
                r = read_processors(h, root);
        if (r >= 0)
                r = read_pages(root, "/sys/kernel/mm/hugepages", &h->pages);
        if (r >= 0)
                r = read_kvm(h, root);
        if (r < 0)
                return r;
        h->iommu_groups = count_groups(root);
        *ret = TAKE_PTR(h);
        return 0;
}
