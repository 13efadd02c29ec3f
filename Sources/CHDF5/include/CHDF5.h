// The weights in an HDF5 file that Keras 2 wrote.
//
// libhdf5 is not safe on damaged or hostile files: it may crash on them, run forever or take all memory. So a child
// process opens the file, with limits on its time and memory, and passes on what it reads; what goes wrong there ends
// in an error here.
#pragma once

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// The records that a file gives, one behind the other, each a letter and its content. Numbers are little endian; a text
// is its length in bytes, 32 bits, and the bytes.
//
//   V text                              the version of Keras, where the file tells it
//   L text                              a layer, in the file's order
//   W text, rank (8 bits), rank sizes   a weight of the layer before, its sizes (32 bits each), its values (float32)
//   E text                              what is wrong with the file; the last record
//   D                                   all has been read; the last record
enum { CH_VERSION = 'V', CH_LAYER = 'L', CH_WEIGHT = 'W', CH_ERROR = 'E', CH_DONE = 'D' };

// Reads the records of the file at `path`, which must be a regular file, of at most `numbers` values in all.
// On success *bytes, which the caller frees with free, holds *count bytes. Otherwise null, and *error says why: a text
// that lives as long as the process.
void ch_read_weights(const char *path, uint64_t numbers, uint8_t **bytes, size_t *count, const char **error);

#ifdef __cplusplus
}
#endif
