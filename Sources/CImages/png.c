// PNG through libpng: http://www.libpng.org/pub/png/libpng.html
//
// Values as Pillow's `convert("RGB")` gives them: gamma, colour profiles and transparency change nothing, of 16 bits a
// channel the upper eight count, but grey of 16 bits is cut off at 255.

#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <png.h>

#include "CImages.h"

/// Deflate makes at most so many bytes of one.
enum { largest_ratio = 1032 };

struct png_reader {
  png_structp png;
  png_infop info;
  jmp_buf failure;
  image_status status;
  char message[image_message_size];
  const uint8_t *bytes;
  size_t left;

  uint32_t width, height;
  int color, depth;
  /// The file's rows: all of them where they are interlaced, else one.
  uint8_t *rows;
  size_t row_bytes;
  uint32_t next;
  int interlaced;
  /// A row of pixels of four bytes.
  uint8_t *row;
  /// What the values of a palette, or of grey below 8 bits, stand for.
  uint8_t table[256][3];
};

static void fail_with(png_reader *reader, image_status status, const char *message) {
  reader->status = status;
  strncpy(reader->message, message, sizeof reader->message - 1);
  longjmp(reader->failure, 1);
}

static void fail(png_structp png, png_const_charp message) {
  png_reader *reader = png_get_error_ptr(png);
  fail_with(reader, strstr(message, "memory") ? image_no_memory : image_malformed, message);
}

static void ignore_warning(png_structp png, png_const_charp message) {
  (void)png;
  (void)message;
}

static void read_bytes(png_structp png, png_bytep target, size_t count) {
  png_reader *reader = png_get_io_ptr(png);
  if (count > reader->left) fail_with(reader, image_truncated, "");
  memcpy(target, reader->bytes, count);
  reader->bytes += count;
  reader->left -= count;
}

/// Whether a pixel is a grey value of 16 bits and nothing else.
static int is_deep_grey(const png_reader *reader) {
  return reader->depth == 16 && reader->color == PNG_COLOR_TYPE_GRAY;
}

/// Sets what each value of a pixel stands for.
static void make_table(png_reader *reader) {
  if (reader->color == PNG_COLOR_TYPE_PALETTE) {
    png_colorp palette;
    int count = 0;
    // Values beyond the palette are black.
    if (!png_get_PLTE(reader->png, reader->info, &palette, &count)) return;
    for (int index = 0; index < count && index < 256; index++)
      memcpy(reader->table[index], &palette[index], 3);
  } else {
    int most = reader->depth < 8 ? (1 << reader->depth) - 1 : 255;
    for (int value = 0; value <= most; value++) memset(reader->table[value], value * 255 / most, 3);
  }
}

png_reader *png_reader_open(const uint8_t *bytes, size_t count, image_header *header, image_status *status) {
  png_reader *reader = calloc(1, sizeof *reader);
  if (!reader) {
    *status = image_no_memory;
    return NULL;
  }
  reader->bytes = bytes;
  reader->left = count;
  if (setjmp(reader->failure)) {
    *status = reader->status;
    return reader;
  }
  reader->png = png_create_read_struct(PNG_LIBPNG_VER_STRING, reader, fail, ignore_warning);
  reader->info = reader->png ? png_create_info_struct(reader->png) : NULL;
  if (!reader->info) fail_with(reader, image_no_memory, "");
  png_structp png = reader->png;
  png_infop info = reader->info;
  png_set_read_fn(png, reader, read_bytes);
  png_set_user_limits(png, 0x7FFFFFFF, 0x7FFFFFFF);
  // Nothing is taken from ancillary chunks, so that what is wrong with them is no error.
  png_set_keep_unknown_chunks(png, PNG_HANDLE_CHUNK_NEVER, NULL, -1);
  png_read_info(png, info);
  reader->width = png_get_image_width(png, info);
  reader->height = png_get_image_height(png, info);
  reader->color = png_get_color_type(png, info);
  reader->depth = png_get_bit_depth(png, info);
  reader->interlaced = png_get_interlace_type(png, info) != PNG_INTERLACE_NONE;
  make_table(reader);

  uint64_t channels = png_get_channels(png, info);
  uint64_t stored = ((uint64_t)reader->width * reader->depth * channels + 7) / 8 + 1;
  reader->row_bytes = (size_t)reader->width * channels * (is_deep_grey(reader) ? 2 : 1);
  uint64_t held = reader->interlaced ? reader->height : 1;
  *header = (image_header){
      .width = reader->width,
      .height = reader->height,
      .memory = (uint64_t)reader->row_bytes * held,
      .smallest_file = stored * reader->height / largest_ratio,
  };
  *status = image_done;
  return reader;
}

image_status png_reader_start(png_reader *reader) {
  if (setjmp(reader->failure)) return reader->status;
  png_set_packing(reader->png);
  if (reader->depth == 16 && !is_deep_grey(reader)) png_set_strip_16(reader->png);
  if (reader->interlaced) png_set_interlace_handling(reader->png);
  // From here on libpng holds rows.
  png_read_update_info(reader->png, reader->info);
  if (png_get_rowbytes(reader->png, reader->info) != reader->row_bytes)
    fail_with(reader, image_unsupported, "its rows have another size than its header says");
  size_t held = reader->interlaced ? reader->height : 1;
  reader->rows = calloc(held, reader->row_bytes);
  reader->row = malloc((size_t)reader->width * 4 + 64);
  if (!reader->rows || !reader->row) fail_with(reader, image_no_memory, "");
  if (reader->interlaced)
    for (int pass = 0; pass < 7; pass++)
      for (size_t row = 0; row < reader->height; row++)
        png_read_row(reader->png, reader->rows + row * reader->row_bytes, NULL);
  return image_done;
}

static void expand(const png_reader *reader, const uint8_t *source, uint8_t *target) {
  uint32_t width = reader->width;
  if (reader->color & PNG_COLOR_MASK_COLOR && reader->color != PNG_COLOR_TYPE_PALETTE) {
    int step = reader->color & PNG_COLOR_MASK_ALPHA ? 4 : 3;
    for (uint32_t x = 0; x < width; x++, source += step, target += 4) memcpy(target, source, 3);
  } else if (is_deep_grey(reader)) {
    for (uint32_t x = 0; x < width; x++, source += 2, target += 4) memset(target, source[0] ? 255 : source[1], 3);
  } else {
    int step = reader->color & PNG_COLOR_MASK_ALPHA ? 2 : 1;
    for (uint32_t x = 0; x < width; x++, source += step, target += 4) memcpy(target, reader->table[*source], 3);
  }
}

image_status png_reader_next(png_reader *reader, const uint8_t **row) {
  if (setjmp(reader->failure)) return reader->status;
  uint8_t *source = reader->rows;
  if (reader->interlaced)
    source += reader->next * reader->row_bytes;
  else
    png_read_row(reader->png, source, NULL);
  reader->next++;
  expand(reader, source, reader->row);
  *row = reader->row;
  return image_done;
}

const char *png_reader_message(const png_reader *reader) { return reader->message; }

void png_reader_close(png_reader *reader) {
  if (!reader) return;
  png_destroy_read_struct(&reader->png, &reader->info, NULL);
  free(reader->rows);
  free(reader->row);
  free(reader);
}
