#pragma once

// What rsw uses of libcurl, for a library that is opened at run time: neither its headers nor the linker are asked
// for, and a program that downloads nothing never loads it. Numbers and types are those of libcurl's ABI 4
// (curl/curl.h), which has not changed since 2006. `curl_easy_setopt` and `curl_easy_getinfo` take a variable number
// of arguments, which Swift can't call through a pointer.

#include <stddef.h>

/// The options that are set.
enum curl_option {
  curl_option_low_speed_limit = 19,
  curl_option_low_speed_time = 20,
  curl_option_no_progress = 43,
  curl_option_follow_location = 52,
  curl_option_most_redirects = 68,
  curl_option_connect_timeout = 78,
  curl_option_protocols = 181,
  curl_option_redirect_protocols = 182,
  curl_option_write_target = 10001,
  curl_option_url = 10002,
  curl_option_error_text = 10010,
  curl_option_user_agent = 10018,
  curl_option_header_lines = 10023,
  curl_option_header_target = 10029,
  curl_option_progress_target = 10057,
  curl_option_certificates = 10065,
  curl_option_write_function = 20011,
  curl_option_header_function = 20079,
  curl_option_progress_function = 20219,
};

enum {
  /// The room for a message that curl_option_error_text needs.
  curl_error_text_size = 256,
  curl_global_all = 3,
};

/// The protocols of a URL, as bits.
enum curl_protocol { curl_protocol_http = 1, curl_protocol_https = 2 };

/// Takes bytes of a body or a line of a header; returns how many it took: fewer end the transfer.
typedef size_t (*curl_data_function)(char *bytes, size_t size, size_t count, void *target);
/// Called about once a second and whenever data moves; ends the transfer unless it returns 0.
typedef int (*curl_progress_function)(
    void *target, long long down_total, long long down, long long up_total, long long up);

typedef int (*curl_setopt_function)(void *handle, int option, ...);

static inline int curl_set_number(void *setopt, void *handle, enum curl_option option, long value) {
  return ((curl_setopt_function)setopt)(handle, option, value);
}

static inline int curl_set_pointer(void *setopt, void *handle, enum curl_option option, const void *value) {
  return ((curl_setopt_function)setopt)(handle, option, value);
}

static inline int curl_set_data_function(
    void *setopt, void *handle, enum curl_option option, curl_data_function value) {
  return ((curl_setopt_function)setopt)(handle, option, value);
}

static inline int curl_set_progress_function(void *setopt, void *handle, curl_progress_function value) {
  return ((curl_setopt_function)setopt)(handle, curl_option_progress_function, value);
}
