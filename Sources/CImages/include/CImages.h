// JPEG and PNG files as rows of pixels, and the loops that resize them.
//
// Both libraries report errors by longjmp, which must not cross a Swift frame: every function here catches
// them itself and returns a status. A row is given as pixels of four bytes: red, green, blue and one without
// meaning.

#pragma once

#include <stddef.h>
#include <stdint.h>

/// How a call ended.
typedef enum {
  image_done,
  /// The file ends before its image does.
  image_truncated,
  /// The file breaks the rules of its format; `message` says how.
  image_malformed,
  /// The file is valid, but of a kind that is not read.
  image_unsupported,
  /// There is not enough memory.
  image_no_memory,
} image_status;

enum { image_message_size = 256 };

/// What the header of a file says.
typedef struct {
  uint32_t width;
  uint32_t height;
  /// The most bytes that decoding may have to hold at once.
  uint64_t memory;
  /// The fewest bytes that a file of this size and kind can have.
  uint64_t smallest_file;
} image_header;

/// A file that is being decoded. The bytes must stay where they are until it is closed.
typedef struct jpeg_reader jpeg_reader;
typedef struct png_reader png_reader;

/// Reads the header; NULL where there is no memory. Whatever the status, the reader has to be closed.
jpeg_reader *jpeg_reader_open(const uint8_t *bytes, size_t count, image_header *header, image_status *status);
/// Begins with the row `row` and all columns from at least `column` to `column + columns`.
///
/// `column` becomes the first column of the rows that follow.
image_status jpeg_reader_start(jpeg_reader *reader, uint32_t row, uint32_t *column, uint32_t columns);
/// The next row, valid until the next call.
image_status jpeg_reader_next(jpeg_reader *reader, const uint8_t **row);
/// Makes sure that the image goes on to its end, where rows were left out there.
image_status jpeg_reader_end(jpeg_reader *reader);
/// What is wrong, after a status that is not `image_done`.
const char *jpeg_reader_message(const jpeg_reader *reader);
void jpeg_reader_close(jpeg_reader *reader);

/// As for JPEG; all rows and columns are read.
png_reader *png_reader_open(const uint8_t *bytes, size_t count, image_header *header, image_status *status);
image_status png_reader_start(png_reader *reader);
image_status png_reader_next(png_reader *reader, const uint8_t **row);
const char *png_reader_message(const png_reader *reader);
void png_reader_close(png_reader *reader);

/// The part of a row, or of a column, that an output is the weighted sum of. The weights begin at `first_weight` of all
/// weights, and are whole numbers of 2^-22.
typedef struct {
  int32_t first;
  int32_t count;
  int32_t first_weight;
} resize_window;

/// Each output pixel is the sum of the pixels in its window, with their weights.
void resize_row(
    const uint8_t *row, const resize_window *windows, size_t outputs, const int32_t *weights, uint8_t *target);
/// Adds `count` bytes, with a weight, to sums.
void resize_add(const uint8_t *row, size_t count, int32_t weight, int32_t *sums);
/// Sets sums to nothing.
void resize_clear(int32_t *sums, size_t count);
/// Rounds sums to bytes.
void resize_round(const int32_t *sums, size_t count, uint8_t *target);
