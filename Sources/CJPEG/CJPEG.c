#include "CJPEG.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>

#include <jpeglib.h>

struct CJReader {
  struct jpeg_decompress_struct jpeg;
  struct jpeg_error_mgr errors;
  jmp_buf fault;
};

static void stop(j_common_ptr jpeg) { longjmp(((CJReader *)jpeg->client_data)->fault, 1); }

// A warning, below 0, is a fault here; the rest is of no interest.
static void emit(j_common_ptr jpeg, int level) {
  if (level < 0) stop(jpeg);
}

static bool is_plain(struct jpeg_decompress_struct *jpeg) {
  return !jpeg->marker_list && !jpeg->progressive_mode && !jpeg->arith_code && !jpeg->saw_Adobe_marker && jpeg->data_precision == 8 &&
         jpeg->num_components == 3 && jpeg->jpeg_color_space == JCS_YCbCr;
}

CJReader *cj_open(const uint8_t *bytes, size_t count) {
  CJReader *reader = calloc(1, sizeof *reader);
  if (!reader) return NULL;
  struct jpeg_decompress_struct *jpeg = &reader->jpeg;
  jpeg->err = jpeg_std_error(&reader->errors);
  reader->errors.error_exit = stop;
  reader->errors.emit_message = emit;
  jpeg->client_data = reader;
  if (setjmp(reader->fault)) {
    cj_close(reader);
    return NULL;
  }
  jpeg_create_decompress(jpeg);
  jpeg_mem_src(jpeg, bytes, count);
  // Only whether they are there counts.
  for (int i = 1; i < 16; ++i) jpeg_save_markers(jpeg, JPEG_APP0 + i, 1);
  jpeg_read_header(jpeg, TRUE);
  if (is_plain(jpeg)) return reader;
  cj_close(reader);
  return NULL;
}

void cj_close(CJReader *reader) {
  jpeg_destroy_decompress(&reader->jpeg);
  free(reader);
}

int64_t cj_width(const CJReader *reader) { return reader->jpeg.image_width; }
int64_t cj_height(const CJReader *reader) { return reader->jpeg.image_height; }

bool cj_decode(CJReader *reader, uint8_t *rgb) {
  struct jpeg_decompress_struct *jpeg = &reader->jpeg;
  if (setjmp(reader->fault)) return false;
  jpeg->out_color_space = JCS_RGB;
  jpeg_start_decompress(jpeg);
  while (jpeg->output_scanline < jpeg->output_height) {
    JSAMPROW row = rgb + (size_t)jpeg->output_scanline * jpeg->output_width * 3;
    jpeg_read_scanlines(jpeg, &row, 1);
  }
  jpeg_finish_decompress(jpeg);
  return true;
}
