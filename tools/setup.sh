# Sourced by tools/rsw and tools/test: makes sure that Swift and the system libraries are there.
# Everything it says goes to stderr, so that a tool's own output stays clean.

fail() {
  echo "rsw: $*" >&2
  exit 69
}

require_swift() {
  command -v swift >/dev/null 2>&1 ||
    fail "Swift 6.2 or later is missing: install it from https://www.swift.org/install and put 'swift' on PATH."
}

# It is opened at run time, so its headers are not needed.
has_openblas() {
  local pattern
  for pattern in /usr/lib/{,*/}libopenblas.so* /usr/lib64/libopenblas.so* \
    {/opt/homebrew,/usr/local}/opt/openblas/lib/libopenblas.dylib; do
    if [ -e "$pattern" ]; then return; fi
  done
  return 1
}

require_system_libraries() {
  local missing=()
  command -v pkg-config >/dev/null 2>&1 || missing+=(pkg-config)
  if [ ${#missing[@]} -gt 0 ] || ! pkg-config --exists zlib; then missing+=(zlib1g-dev); fi
  has_openblas || missing+=(libopenblas0)
  if [ ${#missing[@]} -gt 0 ] || ! pkg-config --exists libjpeg; then missing+=(libjpeg-dev); fi
  if [ ${#missing[@]} -gt 0 ] || ! pkg-config --exists libpng; then missing+=(libpng-dev); fi
  [ ${#missing[@]} -eq 0 ] || install_packages "${missing[@]}"
}

# For tools/check_report.py; a machine without any font would show empty pages.
require_browser() {
  local name
  for name in chromium chromium-browser google-chrome; do
    if command -v "$name" >/dev/null 2>&1; then return; fi
  done
  install_packages chromium fonts-dejavu-core
}

# The shells whose completions tools/check_completions tries
require_shells() {
  local missing=() shell
  for shell in bash zsh fish; do command -v "$shell" >/dev/null 2>&1 || missing+=("$shell"); done
  [ ${#missing[@]} -eq 0 ] || install_packages "${missing[@]}"
}

# For tools/check_system_errors.py
require_strace() {
  command -v strace >/dev/null 2>&1 || install_packages strace
}

# install_packages PACKAGE...
install_packages() {
  local missing=("$@")
  command -v apt-get >/dev/null 2>&1 ||
    fail "${missing[*]} is missing, and this is not Debian or Ubuntu: install it with your system's package manager (zlib, libjpeg-turbo and libpng with headers, and OpenBLAS)."
  local as_root=()
  if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null 2>&1 ||
      fail "${missing[*]} must be installed, and there is no sudo: run 'apt-get install ${missing[*]}' as root."
    as_root=(sudo)
  fi
  echo "rsw: installing ${missing[*]} with ${as_root[*]:+sudo }apt-get" >&2
  "${as_root[@]}" apt-get update -qq >&2 || fail "'apt-get update' failed."
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >&2 ||
    fail "'apt-get install ${missing[*]}' failed."
}
