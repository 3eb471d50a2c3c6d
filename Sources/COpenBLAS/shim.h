#include <cblas.h>

// OpenBLAS exports this, but only some builds do and no header declares it.
int blas_thread_shutdown_(void) __attribute__((weak));

/// Ends the threads that OpenBLAS started when it was loaded, if it started any.
static inline void openblas_end_threads(void) {
  if (blas_thread_shutdown_) blas_thread_shutdown_();
}
