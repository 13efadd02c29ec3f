#define _GNU_SOURCE
#include "CHDF5.h"

#include <errno.h>
#include <fcntl.h>
#include <hdf5.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
  MOST_NAMES = 8192,                  // layers, or weights of a layer
  LONGEST_NAME = 1024,                // bytes
  MOST_RANK = 8,
  LARGEST_CHUNK = 32 << 20,           // bytes
  SECONDS = 2,                        // of the processor; the article's weights take a third of one
  PATIENCE = 4,                       // seconds on the clock from one record to the next
};
static const rlim_t MEMORY = 384 << 20;  // bytes, beyond what the process has

// MARK: Child: passing on

static int out;

static void put(const void *bytes, size_t count) {
  for (const char *rest = bytes; count > 0;) {
    ssize_t written = write(out, rest, count);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) _exit(1);
    rest += written;
    count -= (size_t)written;
  }
}

static void put_text(char kind, const char *text) {
  alarm(PATIENCE);
  uint32_t length = (uint32_t)strlen(text);
  put(&kind, 1);
  put(&length, sizeof length);
  put(text, length);
}

__attribute__((noreturn, format(printf, 1, 2))) static void fail(const char *format, ...) {
  char text[4 * LONGEST_NAME];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  put_text(CH_ERROR, text);
  _exit(0);
}

static void *allocate(size_t size) {
  void *memory = calloc(1, size ? size : 1);
  if (!memory) fail("it asks for too much memory");
  return memory;
}

// MARK: Child: names

typedef struct {
  size_t count;
  char **names;
} Names;

static void append(Names *names, const char *start, size_t length) {
  if (length > LONGEST_NAME) fail("a name in it is longer than %d bytes", LONGEST_NAME);
  char *name = allocate(length + 1);
  memcpy(name, start, length);
  names->names[names->count++] = name;
}

// Appends the texts of an attribute, of fixed or variable length. False where there is no such attribute.
static bool read_names(hid_t object, const char *what, const char *attribute, Names *names) {
  htri_t exists = H5Aexists(object, attribute);
  if (exists == 0) return false;
  hid_t id = exists > 0 ? H5Aopen(object, attribute, H5P_DEFAULT) : -1;
  hid_t type = id >= 0 ? H5Aget_type(id) : -1, space = id >= 0 ? H5Aget_space(id) : -1;
  hssize_t count = space >= 0 ? H5Sget_simple_extent_npoints(space) : -1;
  if (type < 0 || count < 0) fail("%s: '%s' cannot be read", what, attribute);
  if (count == 0) return true;  // h5py gives an empty list another type
  if (names->count + (size_t)count > MOST_NAMES) fail("%s: '%s' has over %d names", what, attribute, MOST_NAMES);
  if (H5Tget_class(type) != H5T_STRING) fail("%s: '%s' holds no texts", what, attribute);
  if (H5Tis_variable_str(type) > 0) {
    hid_t memory = H5Tcopy(H5T_C_S1);
    H5Tset_size(memory, H5T_VARIABLE);
    H5Tset_cset(memory, H5Tget_cset(type));
    char **texts = allocate((size_t)count * sizeof *texts);
    if (H5Aread(id, memory, texts) < 0) fail("%s: '%s' cannot be read", what, attribute);
    for (hssize_t i = 0; i < count; ++i) {
      if (!texts[i]) fail("%s: '%s' lacks a name", what, attribute);
      append(names, texts[i], strlen(texts[i]));
    }
  } else {
    size_t size = H5Tget_size(type);
    if (size == 0 || size > LONGEST_NAME) fail("%s: '%s' has names of %zu bytes", what, attribute, size);
    char *texts = allocate((size_t)count * size);
    if (H5Aread(id, type, texts) < 0) fail("%s: '%s' cannot be read", what, attribute);
    for (hssize_t i = 0; i < count; ++i) append(names, texts + i * size, strnlen(texts + i * size, size));
    free(texts);
  }
  H5Sclose(space);
  H5Tclose(type);
  H5Aclose(id);
  return true;
}

// Keras splits a list that is too long for one attribute into NAME0, NAME1, …
static Names read_list(hid_t object, const char *what, const char *attribute) {
  Names names = {0, allocate(MOST_NAMES * sizeof(char *))};
  if (read_names(object, what, attribute, &names)) return names;
  for (int part = 0; part < MOST_NAMES; ++part) {
    char name[64];
    snprintf(name, sizeof name, "%s%d", attribute, part);
    if (read_names(object, what, name, &names)) continue;
    if (part == 0) fail("%s has no '%s'; it is not a file of Keras 2's save_weights", what, attribute);
    break;
  }
  return names;
}

static void free_names(Names names) {
  for (size_t i = 0; i < names.count; ++i) free(names.names[i]);
  free(names.names);
}

// MARK: Child: objects

// Whether each step of a path is a hard link: others may lead to other files, or round in circles.
static bool is_inside(hid_t place, const char *path) {
  char step[LONGEST_NAME + 1];
  for (const char *end = path; *end;) {
    end += strspn(end, "/");
    end += strcspn(end, "/");
    memcpy(step, path, (size_t)(end - path));
    step[end - path] = 0;
    H5L_info_t info;
    if (strspn(step, "/") == strlen(step)) return false;
    if (H5Lget_info(place, step, &info, H5P_DEFAULT) < 0 || info.type != H5L_TYPE_HARD) return false;
  }
  return *path != 0;
}

static void check_storage(hid_t dataset, uint64_t bytes, const char *what) {
  hid_t plist = H5Dget_create_plist(dataset);
  if (plist < 0) fail("%s cannot be read", what);
  H5D_layout_t layout = H5Pget_layout(plist);
  bool isKnown = layout == H5D_CONTIGUOUS || layout == H5D_COMPACT || layout == H5D_CHUNKED;
  if (!isKnown || H5Pget_external_count(plist) != 0) fail("%s lies in another file", what);
  int filters = H5Pget_nfilters(plist);
  for (int i = 0; i < filters; ++i) {
    unsigned flags, configuration;
    size_t values = 0;
    H5Z_filter_t filter = H5Pget_filter2(plist, (unsigned)i, &flags, &values, NULL, 0, NULL, &configuration);
    if (filter != H5Z_FILTER_DEFLATE && filter != H5Z_FILTER_SHUFFLE && filter != H5Z_FILTER_FLETCHER32)
      fail("%s is packed by filter %d; only gzip is read", what, (int)filter);
  }
  if (layout == H5D_CHUNKED) {
    hsize_t sizes[MOST_RANK], chunk = 8;
    int rank = H5Pget_chunk(plist, MOST_RANK, sizes);
    if (rank < 1 || rank > MOST_RANK) fail("%s cannot be read", what);
    for (int i = 0; i < rank; ++i)
      if (sizes[i] == 0 || __builtin_mul_overflow(chunk, sizes[i], &chunk) || chunk > LARGEST_CHUNK)
        fail("%s has chunks that are too large", what);
  }
  hsize_t stored = H5Dget_storage_size(dataset);
  if (stored == 0 || (layout != H5D_CHUNKED && stored < bytes)) fail("%s has no values in the file", what);
  H5Pclose(plist);
}

static void read_weight(hid_t group, const char *layer, const char *name, uint64_t *numbers) {
  char what[2 * LONGEST_NAME + 64];
  snprintf(what, sizeof what, "layer '%s': '%s'", layer, name);
  if (!is_inside(group, name)) fail("%s is missing or a link", what);
  hid_t dataset = H5Dopen(group, name, H5P_DEFAULT);
  hid_t type = dataset >= 0 ? H5Dget_type(dataset) : -1, space = dataset >= 0 ? H5Dget_space(dataset) : -1;
  int rank = space >= 0 ? H5Sget_simple_extent_ndims(space) : -1;
  if (type < 0 || rank < 0) fail("%s cannot be read", what);
  if (H5Tget_class(type) != H5T_FLOAT || H5Tget_size(type) > 8) fail("%s holds no float32", what);
  if (rank > MOST_RANK) fail("%s has %d dimensions", what, rank);
  hsize_t sizes[MOST_RANK];
  uint32_t shape[MOST_RANK];
  uint64_t count = 1;
  if (H5Sget_simple_extent_dims(space, sizes, NULL) < 0) fail("%s cannot be read", what);
  for (int i = 0; i < rank; ++i) {
    if (sizes[i] == 0) fail("%s is empty", what);
    if (sizes[i] > UINT32_MAX || __builtin_mul_overflow(count, sizes[i], &count) || count > *numbers)
      fail("%s makes it larger than a model can be", what);
    shape[i] = (uint32_t)sizes[i];
  }
  *numbers -= count;
  check_storage(dataset, count * H5Tget_size(type), what);
  float *values = allocate(count * sizeof(float));
  if (H5Dread(dataset, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) < 0)
    fail("%s: the values cannot be read; the file is damaged or cut off", what);
  put_text(CH_WEIGHT, name);
  uint8_t dimensions = (uint8_t)rank;
  put(&dimensions, 1);
  put(shape, (size_t)rank * sizeof *shape);
  put(values, count * sizeof(float));
  free(values);
  H5Sclose(space);
  H5Tclose(type);
  H5Dclose(dataset);
}

static void read_file(const char *path, uint64_t numbers) {
  H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
  H5PLset_loading_state(0);  // no filter comes out of a folder of the environment
  hid_t file = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT);
  if (file < 0) fail("not an HDF5 file, or a damaged one");
  hid_t root = file;
  // `save` keeps the same beside the optimizer.
  if (H5Aexists(file, "layer_names") == 0 && is_inside(file, "model_weights"))
    root = H5Gopen(file, "model_weights", H5P_DEFAULT);
  if (root < 0) fail("'model_weights' cannot be read");
  Names version = {0, allocate(MOST_NAMES * sizeof(char *))};
  if (read_names(root, "the file", "keras_version", &version) && version.count == 1)
    put_text(CH_VERSION, version.names[0]);
  free_names(version);

  Names layers = read_list(root, "the file", "layer_names");
  for (size_t i = 0; i < layers.count; ++i) {
    const char *layer = layers.names[i];
    if (!is_inside(root, layer)) fail("layer '%s' is missing or a link", layer);
    hid_t group = H5Gopen(root, layer, H5P_DEFAULT);
    if (group < 0) fail("layer '%s' cannot be read", layer);
    char what[LONGEST_NAME + 64];
    snprintf(what, sizeof what, "layer '%s'", layer);
    Names weights = read_list(group, what, "weight_names");
    put_text(CH_LAYER, layer);
    for (size_t j = 0; j < weights.count; ++j) read_weight(group, layer, weights.names[j], &numbers);
    free_names(weights);
    H5Gclose(group);
  }
  char done = CH_DONE;
  put(&done, 1);
}

// MARK: Child: limits

static rlim_t memory_in_use(void) {
  unsigned long pages = 0;
  FILE *file = fopen("/proc/self/statm", "re");
  if (file) {
    if (fscanf(file, "%*u %*u %*u %*u %*u %lu", &pages) != 1) pages = 0;
    fclose(file);
  }
  return (rlim_t)pages * (rlim_t)sysconf(_SC_PAGESIZE);
}

static void limit(int resource, rlim_t value) {
  struct rlimit limits;
  if (getrlimit(resource, &limits) != 0 || (limits.rlim_max != RLIM_INFINITY && value > limits.rlim_max)) return;
  limits.rlim_cur = limits.rlim_max = value;
  setrlimit(resource, &limits);
}

__attribute__((noreturn)) static void run_child(const char *path, uint64_t numbers, rlim_t memory) {
  // Handlers that the program has are for the program.
  for (int number = 1; number < NSIG; ++number) signal(number, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  // The C library would tell the terminal of a damaged heap.
  int nowhere = open("/dev/null", O_RDWR);
  if (nowhere >= 0) {
    dup2(nowhere, STDOUT_FILENO);
    dup2(nowhere, STDERR_FILENO);
  }
  limit(RLIMIT_CORE, 0);
  limit(RLIMIT_FSIZE, 0);
  limit(RLIMIT_CPU, SECONDS);
  limit(RLIMIT_DATA, memory + MEMORY);
  alarm(PATIENCE);
  read_file(path, numbers);
  _exit(0);
}

// MARK: Parent

void ch_read_weights(const char *path, uint64_t numbers, uint8_t **bytes, size_t *count, const char **error) {
  *bytes = NULL;
  *count = 0;
  *error = "no process can be started to read it";
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return;
  rlim_t memory = memory_in_use();
  pid_t child = fork();
  if (child == 0) {
    close(ends[0]);
    out = ends[1];
    run_child(path, numbers, memory);
  }
  close(ends[1]);
  if (child < 0) {
    close(ends[0]);
    return;
  }

  // Values, and room for all names.
  size_t most = numbers * sizeof(float) + (64 << 20), room = 1 << 20, used = 0;
  uint8_t *buffer = malloc(room);
  *error = NULL;
  while (buffer) {
    if (used == room) {
      if (room == most) {
        *error = "it is larger than a model can be";
        break;
      }
      room = room > most / 2 ? most : 2 * room;
      uint8_t *larger = realloc(buffer, room);
      if (!larger) free(buffer);
      buffer = larger;
      continue;
    }
    ssize_t got = read(ends[0], buffer + used, room - used);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    used += (size_t)got;
  }
  close(ends[0]);
  if (*error || !buffer) kill(child, SIGKILL);
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {}
  if (!buffer) *error = "there is not enough memory to read it";
  if (!*error && WIFSIGNALED(status)) {
    bool isSlow = WTERMSIG(status) == SIGXCPU || WTERMSIG(status) == SIGKILL || WTERMSIG(status) == SIGALRM;
    *error = isSlow ? "reading it takes too long; the file is damaged" : "libhdf5 breaks off on it; the file is damaged";
  } else if (!*error && WEXITSTATUS(status) != 0) {
    *error = "what was read of it did not arrive";
  }
  if (*error) {
    free(buffer);
    return;
  }
  *bytes = buffer;
  *count = used;
}
